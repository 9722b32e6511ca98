/** One warning for each service that text is about to be given to, remembered in the home. */

import type { Embedder, Redactor, Sink } from '../ports.js'
import { changeHomeRecord, readHomeRecord } from './home-record.js'

export interface Leaving {
  readonly embedder: Embedder
  /** Its address, undefined for one of the caller's own. */
  readonly embedderAt: string | undefined
  readonly sink: Sink
  readonly sinkAt: string | undefined
  readonly redact: Redactor | undefined
  readonly warn: (sentence: string) => void
}

export function tellOnce(directory: string, leaving: Leaving): void {
  const fresh = untold(directory, leaving)
  if (fresh.length === 0) return
  const secrets = leaving.redact === undefined ? 'secrets in it are not taken out' : 'known kinds of secrets are taken out first'
  leaving.warn(`text of your sessions leaves this machine from now on, to ${fresh.join(' and ')}; ${secrets} (this is said once)`)
  changeHomeRecord(directory, (now) => ({ ...now, told: [...now.told, ...fresh.filter((service) => !now.told.includes(service))] }))
}

/** Before a search, which changes nothing in the home: said until an indexing says and remembers it. */
export function tellOfQueries(directory: string, leaving: Omit<Leaving, 'redact'>): void {
  const fresh = untold(directory, leaving)
  if (fresh.length > 0) leaving.warn(`the words of the search leave this machine, to ${fresh.join(' and ')}`)
}

function untold(directory: string, { embedder, embedderAt, sink, sinkAt }: Omit<Leaving, 'redact' | 'warn'>): readonly string[] {
  const services = [
    ...(embedder.remote === true ? [`${embedder.name} at ${embedderAt ?? 'another machine'}`] : []),
    ...(sink.remote === true ? [`${sink.name} at ${sinkAt ?? 'another machine'}`] : []),
  ]
  const { told } = readHomeRecord(directory)
  return services.filter((service) => !told.includes(service))
}
