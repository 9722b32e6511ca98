/** Where the figures come from; the reference op lets figures of two machines be compared roughly. */
import { cpus, release, type } from 'node:os'
import { spread } from './measure.mjs'

export function describeMachine() {
  const processors = cpus()
  return {
    node: `Node ${process.versions.node}`,
    cpu: `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown CPU'}`,
    kernel: `${type()} ${release()}`,
    referenceMs: referenceOp(),
  }
}

/** Parsing 4 MB of JSON, the median of 9 in milliseconds. */
function referenceOp() {
  const records = Array.from({ length: 20_000 }, (_, at) => ({ id: `record_${at}`, text: 'the same text in every record. '.repeat(5), at }))
  const text = JSON.stringify(records)
  const times = Array.from({ length: 9 }, () => {
    const started = performance.now()
    JSON.parse(text)
    return performance.now() - started
  })
  return spread(times).median
}
