/** How many transactions were ever committed to an LMDB file: each moves the number in one of the two meta pages. */
import { readFileSync } from 'node:fs'

const AT = { pageSize: 48, transaction: 152 }

export function commitsIn(path: string): number {
  const bytes = readFileSync(path)
  const pageSize = bytes.readUInt32LE(AT.pageSize)
  return Math.max(...[0, pageSize].map((page) => Number(bytes.readBigUInt64LE(page + AT.transaction))))
}
