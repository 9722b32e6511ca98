/** Known words among the bytes of a line. */
import { mayBeEscaped, says } from './json-text.js'
import type { Skimmed } from './skim.js'

/** Known words, found in bytes without a string being made of them. */
export class Words<T> {
  readonly #byLength: { readonly word: Buffer; readonly means: T }[][] = []

  readonly #byText: ReadonlyMap<string, T>

  constructor(words: Readonly<Record<string, T>>) {
    this.#byText = new Map(Object.entries(words))
    for (const [text, means] of Object.entries(words)) {
      const word = Buffer.from(text)
      this.#byLength[word.length] ??= []
      this.#byLength[word.length]?.push({ word, means })
    }
  }

  /** What the string in the slot means; undefined where it is no string, or no known word. */
  in({ bytes, from, to }: Skimmed, slot: number): T | undefined {
    const start = (from[slot] as number) + 1
    return start === 0 ? undefined : this.at(bytes, start, (to[slot] as number) - 1)
  }

  /** What a text means. */
  of(text: string): T | undefined {
    return this.#byText.get(text)
  }

  /** What the bytes between two quotes mean. */
  at(bytes: Buffer, start: number, end: number): T | undefined {
    for (const { word, means } of this.#byLength[Math.max(0, end - start)] ?? NONE) {
      let at = 0
      while (at < word.length && bytes[start + at] === word[at]) at++
      if (at === word.length) return means
    }
    return mayBeEscaped(bytes, start, end, this.#byLength.length - 1) ? this.#escaped(bytes, start, end) : undefined
  }

  #escaped(bytes: Buffer, start: number, end: number): T | undefined {
    for (const words of this.#byLength) for (const { word, means } of words ?? NONE) if (says(bytes, start, end, word)) return means
    return undefined
  }
}

const NONE = [] as const
