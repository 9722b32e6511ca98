/** Judges every read of a session whose answer is being written: what was read so far, and what was wrong with it. */
import { encodeKey, type FlowResult, type MessageKey, type MessageNode, type SessionHydratedTree, type StageIssue } from '../../src/index.js'
import { issuesIn } from '../support/trees.js'

export class StreamWatch {
  /** In words; empty when all was well. */
  readonly wrong: string[] = []
  /** Reads that met a record while it was rewritten. */
  torn = 0
  /** Reads that saw the answer begun and not yet complete. */
  readsUnderWay = 0
  isUnderWay = false
  /** Of the texts that were read, all different. */
  readonly lengths = new Set<number>()
  /** Of the last whole read. */
  issues: readonly StageIssue[] = []
  whole: string | undefined
  /** What the tails gave, put together. */
  tail: string | undefined
  readonly #text: string
  readonly #signatures = new Map<string, string>()
  #longest = 0

  /** `text` is what the model says, whole. */
  constructor(text: string) {
    this.#text = text
  }

  readonly known = (key: MessageKey): string | undefined => this.#signatures.get(encodeKey(key))

  addWhole(result: FlowResult<SessionHydratedTree>): void {
    const messages = this.#messagesOf(result)
    const answer = messages.find(({ message }) => message?.role === 'assistant')
    const text = this.#judge(answer)
    this.isUnderWay = answer?.message?.role === 'assistant' && answer.message.time.completed === undefined
    if (this.isUnderWay) this.readsUnderWay++
    this.issues = issuesIn(result)
    this.whole = text
  }

  addTail(result: FlowResult<SessionHydratedTree>): void {
    for (const node of this.#messagesOf(result)) {
      if (node.signature !== undefined) this.#signatures.set(encodeKey(node.key), node.signature)
      if (node.message?.role === 'assistant') this.tail = this.#judge(node) ?? this.tail
    }
  }

  addIssues(issues: readonly StageIssue[]): void {
    for (const issue of issues) this.#judgeIssue(issue)
  }

  #messagesOf(result: FlowResult<SessionHydratedTree>): readonly MessageNode[] {
    if (result.status === 'failed') {
      this.wrong.push(`${result.stage} failed: ${result.error.message}`)
      return []
    }
    const issues = issuesIn(result)
    if (issues.length > 0) this.torn++
    this.addIssues(issues)
    return result.value.messages
  }

  #judgeIssue({ code, reason, transient, path }: StageIssue): void {
    if (code === 'STORE_BUSY') this.wrong.push(`busy: ${reason}`)
    else if (transient !== true) this.wrong.push(`reported as damage: ${code} ${reason} (${path ?? 'no path'})`)
  }

  /** The text so far; it only grows, until OpenCode cuts off the blanks at its end. */
  #judge(answer: MessageNode | undefined): string | undefined {
    const texts = answer?.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])) ?? []
    if (texts.length > 1) this.wrong.push(`${texts.length} texts in one answer`)
    const unknown = answer?.parts.filter(({ type }) => type === 'unknown') ?? []
    if (unknown.length > 0) this.wrong.push(`${unknown.length} parts of no known shape`)
    const [text] = texts
    if (text === undefined) return undefined
    if (!this.#text.startsWith(text)) this.wrong.push(`a text of ${text.length} characters that nobody said`)
    if (text.length < this.#longest && text !== this.#text.trimEnd()) this.wrong.push(`${text.length} characters after ${this.#longest}`)
    this.lengths.add(text.length)
    this.#longest = Math.max(this.#longest, text.length)
    return text
  }
}
