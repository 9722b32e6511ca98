/** Progress on stderr: a spinner on a terminal, one plain line at the end elsewhere. */
import ora from 'ora'
import type { IndexProgress } from '../indexer/index.js'
import { count } from './output.js'

export class IndexingProgress {
  readonly #spinner = process.stderr.isTTY ? ora({ stream: process.stderr, discardStdin: false }) : undefined
  readonly #total: number
  #sessions = 0
  #documents = 0

  constructor(total: number) {
    this.#total = total
    this.#spinner?.start(`looking at ${count(total, 'session')}`)
  }

  add(event: IndexProgress): void {
    if (event.kind === 'released') this.#sessions++
    else if (event.kind === 'committed') this.#documents += event.documents
    else return
    if (this.#spinner !== undefined) this.#spinner.text = this.#text()
  }

  end(how: 'done' | 'stopped'): void {
    if (this.#spinner === undefined) process.stderr.write(`${how}: ${this.#text()}\n`)
    else if (how === 'done') this.#spinner.succeed(this.#text())
    else this.#spinner.warn(`stopped: ${this.#text()}`)
  }

  #text(): string {
    return `${this.#sessions} of ${count(this.#total, 'session')} had something new, ${count(this.#documents, 'document')} written`
  }
}
