/** From the arrays of a response to the rows of a matrix, each scaled to length 1. */
import { StorageError } from '../../core/errors.js'

/** @throws StorageError EMBEDDING_INVALID: another number of vectors, another length, no finite number, no direction */
export function checkedVectors(vectors: readonly unknown[], count: number, dimensions: number): Float32Array {
  if (vectors.length !== count) throw invalid(`${count} texts gave ${vectors.length} vectors`)
  const matrix = new Float32Array(count * dimensions)
  for (const [row, vector] of vectors.entries()) {
    if (!Array.isArray(vector) || vector.length === 0 || vector.length !== dimensions) {
      throw invalid(`a vector has ${Array.isArray(vector) ? vector.length : 'no'} dimensions, not ${dimensions}`)
    }
    fill(matrix.subarray(row * dimensions, (row + 1) * dimensions), vector)
  }
  return matrix
}

function fill(row: Float32Array, vector: readonly unknown[]): void {
  let square = 0
  for (const value of vector) {
    if (typeof value !== 'number') throw invalid('a vector holds what is no number')
    square += value * value
  }
  if (!Number.isFinite(square)) throw invalid('a vector holds a number that is not finite')
  const scale = 1 / Math.sqrt(square)
  if (!Number.isFinite(scale)) throw invalid('a vector has no direction')
  for (let i = 0; i < row.length; i++) row[i] = Number(vector[i]) * scale
}

function invalid(reason: string): StorageError {
  return new StorageError('EMBEDDING_INVALID', { reason })
}
