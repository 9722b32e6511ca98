/** CRC-32 of pieces put together and taken apart, without a look at their bytes: a polynomial over GF(2), as in zlib's `crc32_combine`. */

const POLYNOMIAL = 0xedb88320
/** x^0, the highest bit first. */
const ONE = 0x80000000

/** The sum of `first` and `second` behind one another, by the sums of both. `length`: how many bytes the second has. */
export function joinedCrc(first: number, second: number, length: number): number {
  return (product(power(length), first) ^ second) >>> 0
}

/** The sum of what follows `first`, by its own and that of both. `length`: how many bytes follow. */
export function crcBehind(first: number, both: number, length: number): number {
  return (product(power(length), first) ^ both) >>> 0
}

/** x to the power of 8 times `bytes`. */
function power(bytes: number): number {
  let result = ONE
  // x^8
  let square = ONE >>> 8
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = product(square, result)
    square = product(square, square)
  }
  return result
}

function product(a: number, b: number): number {
  let sum = 0
  let term = b
  for (let bit = ONE; bit > 0; bit >>>= 1) {
    if ((a & bit) !== 0) sum ^= term
    term = (term & 1) === 0 ? term >>> 1 : (term >>> 1) ^ POLYNOMIAL
  }
  return sum >>> 0
}
