/** The crash points of docs/indexer.md that the code passes, in the order of a run. l and n are no places in the code: they are what the disk may do. */
export const FAILPOINTS = Object.freeze({
  a: 'before a claim',
  b: 'claimed, nothing read',
  c: 'before a call of the embedder',
  d: 'embedded, no record',
  e: 'the record is durable, the sink was not called',
  f: 'some documents are written',
  g: 'the sink has everything, nothing is committed',
  h: 'committed, not released',
  i: 'released',
  j: 'inside a transaction',
  k: 'documents are deleted, nothing is committed',
  m: 'inside the transaction that makes the space that was built the live one',
} as const)
export type FailpointName = keyof typeof FAILPOINTS
