/** Progress on stderr: a spinner on a terminal, one plain line at the end elsewhere. */
import ora from 'ora'
import { encodeKey, type SessionIndex } from '../index.js'
import type { IndexProgress } from '../indexer/index.js'
import { count } from './output.js'

export class IndexingProgress {
  readonly #spinner = process.stderr.isTTY ? ora({ stream: process.stderr, discardStdin: false }) : undefined
  readonly #index: Pick<SessionIndex, 'session' | 'stats'>
  /** A session may be at its turn several times: a long one goes to the tail of the queue, what changes meanwhile comes again. */
  readonly #updated = new Set<string>()
  readonly #removed = new Set<string>()
  #documents = 0

  constructor(index: Pick<SessionIndex, 'session' | 'stats'>) {
    this.#index = index
    this.#spinner?.start(`looking at ${count(index.stats().sessions, 'session')}`)
  }

  add(event: IndexProgress): void {
    if (event.kind === 'removed') {
      this.#removed.add(encodeKey(event.key))
      this.#updated.delete(encodeKey(event.key))
    } else if (event.kind === 'committed' && event.messages + event.documents + event.deleted > 0) {
      this.#documents += event.documents
      if (this.#index.session(event.key) !== undefined) this.#updated.add(encodeKey(event.key))
    } else return
    if (this.#spinner !== undefined) this.#spinner.text = this.text()
  }

  end(how: 'done' | 'stopped'): void {
    if (this.#spinner === undefined) process.stderr.write(`${how}: ${this.text()}\n`)
    else if (how === 'done') this.#spinner.succeed(this.text())
    else this.#spinner.warn(`stopped: ${this.text()}`)
  }

  /** Updated are sessions of which something was written or taken out, of all that are listed. */
  text(): string {
    const updated = `${this.#updated.size.toLocaleString('en')} of ${count(this.#index.stats().sessions, 'session')} updated`
    const removed = this.#removed.size === 0 ? '' : `, ${count(this.#removed.size, 'session')} removed`
    return `${updated}, ${count(this.#documents, 'document')} written${removed}`
  }
}
