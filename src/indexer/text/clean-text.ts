/**
 * Text fit to be searched: well-formed, without escape sequences, and without bytes that were written out as letters.
 *
 * Time is in proportion to the text. A regular expression here matches a bounded number of characters, since V8 keeps
 * a place on its stack for each repetition and throws at some millions; what may be longer is walked character by character.
 */

/** Everything that is not for reading is removed; what is for reading keeps its characters and its order. */
export function cleanText(text: string): string {
  return withoutEncoded(plainText(text))
}

/** The first half of `cleanText`: well-formed, without escape sequences and `data:` URLs. Secrets are still whole here. */
export function plainText(text: string): string {
  return withoutDataUrls(text.replace(LONE_SURROGATE, '\ufffd').replace(NEWLINE, '\n').replace(TERMINAL_ESCAPE, '').replace(CONTROL, ''))
}

/** The second half: without bytes that were written out as letters. */
export function withoutEncoded(plain: string): string {
  return withoutWrappedRuns(withoutLongRuns(plain))
}

/** With the u flag only surrogates without their other half match; they have no UTF-8 form. */
const LONE_SURROGATE = /\p{Surrogate}/gu
const NEWLINE = /\r\n?/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const TERMINAL_ESCAPE = /\u001b(?:\[[0-9;?]{0,32}[ -/]?[@-~]|\][^\u0007\u001b]{0,2048}(?:\u0007|\u001b\\)?|[()][0-9A-Z]|[=>78cDEHMNOZ])/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g

const DATA_URL = /\bdata:(?:[\w.+-]{1,64}\/[\w.+-]{1,96}(?:;[\w.=+-]{1,64}){0,8}|(?:;[\w.=+-]{1,64}){1,8}),/gi
const URL_CHARACTERS = characters(/[\w.~!$&*+/=%-]/)

function withoutDataUrls(text: string): string {
  return withoutRuns(text, DATA_URL, (_, headEnd) => endOf(text, headEnd, URL_CHARACTERS))
}

/** The look-behind lets a run be tried at its beginning only, which keeps the search linear. */
const LONG_RUN = /(?<![\w+/-])[\w+/-]{80}/g
const RUN_CHARACTERS = characters(/[\w+/-]/)

/** Removes base64 and hex in one run. Hashes of up to 64 digits, long paths and long names stay. */
function withoutLongRuns(text: string): string {
  return withoutRuns(text, LONG_RUN, (start, headEnd) => {
    const end = withPadding(text, endOf(text, headEnd, RUN_CHARACTERS))
    return looksEncoded(text, start, end) ? end : { kept: end }
  })
}

/** A first line; white space around the end of a line is bounded, as no encoder indents further. */
const WRAPPED_RUN = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{56,128}[ \t]{0,64}(?:\n|(?:\\r)?\\n)[ \t]{0,64}/g
const WRAPPED_LINE = /[A-Za-z0-9+/]{56,128}[ \t]{0,64}(?:\n|(?:\\r)?\\n)[ \t]{0,64}/y
const LAST_LINE = /[A-Za-z0-9+/]{1,128}={0,2}/y

/** Removes base64 and hex that is wrapped in lines, of which there must be two at least. */
function withoutWrappedRuns(text: string): string {
  return withoutRuns(text, WRAPPED_RUN, (start, headEnd) => {
    const linesEnd = afterAll(WRAPPED_LINE, text, headEnd)
    if (linesEnd === headEnd) return { kept: headEnd }
    if (shapeOf(text, start, linesEnd).changes < ENCODED) return { kept: linesEnd }
    const end = after(LAST_LINE, text, linesEnd)
    // what follows may be the last line, or the first word of prose
    return end > linesEnd && shapeOf(text, linesEnd, end).changes >= ENCODED ? end : linesEnd
  })
}

/**
 * Removes what begins with a match of `head` and goes on until where `judge` says; `kept` tells where to look on when it stays.
 * Both are at or after the end of the match.
 */
function withoutRuns(text: string, head: RegExp, judge: (start: number, headEnd: number) => number | { readonly kept: number }): string {
  const pieces: string[] = []
  let written = 0
  head.lastIndex = 0
  for (let match = head.exec(text); match !== null; match = head.exec(text)) {
    const verdict = judge(match.index, head.lastIndex)
    if (typeof verdict !== 'number') {
      head.lastIndex = verdict.kept
      continue
    }
    pieces.push(text.slice(written, match.index))
    written = verdict
    head.lastIndex = verdict
  }
  return written === 0 ? text : pieces.join('') + text.slice(written)
}

/** The characters below U+0080 of a class, by code. */
function characters(members: RegExp): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, code) => (members.test(String.fromCharCode(code)) ? 1 : 0))
}

function endOf(text: string, from: number, members: Uint8Array): number {
  let at = from
  while (at < text.length && members[text.charCodeAt(at)] === 1) at++
  return at
}

function withPadding(text: string, from: number): number {
  let at = from
  while (at < from + 2 && text[at] === '=') at++
  return at
}

/** Where the sticky `pattern` ends that is matched at `from`; `from` when it does not match. */
function after(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from
  return pattern.test(text) ? pattern.lastIndex : from
}

function afterAll(pattern: RegExp, text: string, from: number): number {
  let at = from
  for (let next = after(pattern, text, at); next > at; next = after(pattern, text, at)) at = next
  return at
}

/** Base64 of anything compressed changes its class of letter at 0.62 of its steps, hex at 0.47, paths and names below 0.2. */
const ENCODED = 0.4
const UNBROKEN = 80

/** A run without separators holds no words; but one of a single class of letter, such as a ruler of x, holds no bytes either. */
function looksEncoded(text: string, start: number, end: number): boolean {
  const { changes, longest, isZeroBytes } = shapeOf(text, start, end)
  return changes >= ENCODED || (changes > 0 && longest >= UNBROKEN) || isZeroBytes
}

interface RunShape {
  /** How often the next letter or digit is of another class than the last, per character. */
  readonly changes: number
  /** The longest stretch of letters and digits. */
  readonly longest: number
  /** Base64 of zero bytes: the letter A, then padding. */
  readonly isZeroBytes: boolean
}

function shapeOf(text: string, start: number, end: number): RunShape {
  let changes = 0
  let last = 0
  let stretch = 0
  let longest = 0
  let zeros = 0
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    const kind = classOf(code)
    if (code === 65 || code === 61) zeros++
    stretch = kind === 0 ? 0 : stretch + 1
    if (stretch > longest) longest = stretch
    if (kind === 0) continue
    if (last !== 0 && kind !== last) changes++
    last = kind
  }
  return { changes: changes / (end - start), longest, isZeroBytes: zeros === end - start }
}

/** 1: small, 2: capital, 3: digit, 0: anything else. */
function classOf(code: number): number {
  if (code >= 97 && code <= 122) return 1
  if (code >= 65 && code <= 90) return 2
  return code >= 48 && code <= 57 ? 3 : 0
}
