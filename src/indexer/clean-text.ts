/** Text fit to be searched: well-formed, without escape sequences, and without bytes that were written out as letters. */

/** Everything that is not for reading is removed; what is for reading keeps its characters and its order. */
export function cleanText(text: string): string {
  return stripEncodedBytes(text.replace(LONE_SURROGATE, '\ufffd').replace(NEWLINE, '\n').replace(TERMINAL_ESCAPE, '').replace(CONTROL, ''))
}

/** With the u flag only surrogates without their other half match; they have no UTF-8 form. */
const LONE_SURROGATE = /\p{Surrogate}/gu
const NEWLINE = /\r\n?/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const TERMINAL_ESCAPE = /\u001b(?:\[[0-9;?]{0,32}[ -/]?[@-~]|\][^\u0007\u001b]{0,2048}(?:\u0007|\u001b\\)?|[()][0-9A-Z]|[=>78cDEHMNOZ])/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g

const DATA_URL = /\bdata:(?:[\w.+-]{1,64}\/[\w.+-]{1,96}(?:;[\w.=+-]{1,64}){0,8}|(?:;[\w.=+-]{1,64}){1,8}),[\w.~!$&*+/=%-]*/gi
/** The look-behind lets a run be tried at its beginning only, which keeps the search linear. */
const LONG_RUN = /(?<![\w+/-])[\w+/-]{80,}={0,2}/g
const WRAPPED_RUN = /(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{56,128}[ \t]*(?:\n|(?:\\r)?\\n)[ \t]*){2,}[A-Za-z0-9+/]{0,128}={0,2}/g

/** Removes `data:` URLs and base64 or hex, in one run or wrapped in lines. Hashes of up to 64 digits, long paths and long names stay. */
function stripEncodedBytes(text: string): string {
  return text
    .replace(DATA_URL, '')
    .replace(LONG_RUN, (run) => (looksEncoded(run) ? '' : run))
    .replace(WRAPPED_RUN, (run) => (changesOfClass(run) >= ENCODED ? '' : run))
}

/** Base64 of anything compressed changes its class of letter at 0.62 of its steps, hex at 0.47, paths and names below 0.2. */
const ENCODED = 0.4
const UNBROKEN = /[A-Za-z0-9]{80}/
const ZERO_BYTES = /^A+=*$/

/** A run without separators holds no words; but one of a single class of letter, such as a ruler of x, holds no bytes either. */
function looksEncoded(run: string): boolean {
  const changes = changesOfClass(run)
  return changes >= ENCODED || (changes > 0 && UNBROKEN.test(run)) || ZERO_BYTES.test(run)
}

/** How often the next letter or digit is of another class than the last, per character. */
function changesOfClass(run: string): number {
  let changes = 0
  let last = 0
  for (let i = 0; i < run.length; i++) {
    const kind = classOf(run.charCodeAt(i))
    if (kind === 0) continue
    if (last !== 0 && kind !== last) changes++
    last = kind
  }
  return changes / run.length
}

/** 1: small, 2: capital, 3: digit, 0: anything else. */
function classOf(code: number): number {
  if (code >= 97 && code <= 122) return 1
  if (code >= 65 && code <= 90) return 2
  return code >= 48 && code <= 57 ? 3 : 0
}
