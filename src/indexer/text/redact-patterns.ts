/**
 * Secrets that secretlint's recommended rules do not find in running text: they are made for files.
 *
 * Each pattern begins with something rare and is bounded, so that no text makes the search slow.
 * Raise VERSION when a text would come out differently: documents are written again then.
 */
export const PATTERNS_VERSION = 1

export interface Found {
  readonly start: number
  readonly end: number
  readonly rule: string
}

interface SecretPattern {
  readonly rule: string
  /** Global. Group 1, where there is one, is what is taken out. */
  readonly pattern: RegExp
  /** @default any match */
  readonly accept?: (secret: string) => boolean
}

const hasDigit = (secret: string): boolean => /\d/.test(secret)
const hasDigitAndLetter = (secret: string): boolean => /\d/.test(secret) && /[A-Za-z]/.test(secret)
const hasDigitAndCapital = (secret: string): boolean => /\d/.test(secret) && /[A-Z]/.test(secret)

export const PATTERNS: readonly SecretPattern[] = [
  { rule: 'aws', pattern: /\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b/dg },
  // secretlint finds the first of these, but says of where it is something else
  { rule: 'aws', pattern: /(?:secret_?access_?key|session_?token)\\?["']?\s{0,8}(?::|=>?)\s{0,8}\\?["']?([\w/+=]{40,2048})/dgi },
  { rule: 'github', pattern: /\bgh[pousr]_\w{36,255}/dg },
  { rule: 'gitlab', pattern: /\bgl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[\w-]{20,255}(?:\.[\w-]{2,64}){0,2}/dg },
  { rule: 'slack', pattern: /\b(?:xox[a-z](?:\.xox[a-z])?|xapp)-[\w-]{16,512}/dg, accept: hasDigit },
  { rule: 'npm', pattern: /_(?:authToken|auth|password)\s{0,8}=\s{0,8}["']?([^\s"'$[][^\s"'$]{7,511})/dg },
  { rule: 'anthropic', pattern: /\bsk-ant-[\w-]{20,255}/dg },
  { rule: 'openai', pattern: /\bsk-(?!ant-)[\w-]{20,255}/dg, accept: hasDigitAndCapital },
  { rule: 'openrouter', pattern: /\bsk-or-v1-[0-9a-f]{40,128}/dg },
  { rule: 'google', pattern: /\bAIza[\w-]{35}/dg },
  { rule: 'google', pattern: /\b(?:GOCSPX-[\w-]{24,64}|ya29\.[\w-]{30,2048})/dg },
  { rule: 'azure', pattern: /\bAccountKey\s{0,8}=\s{0,8}([A-Za-z0-9/+]{86}==)/dg },
  { rule: 'digitalocean', pattern: /\bdo[opr]_v1_[0-9a-f]{64}/dg },
  { rule: 'groq', pattern: /\bgsk_[A-Za-z0-9]{40,80}\b/dg, accept: hasDigit },
  { rule: 'xai', pattern: /\bxai-[A-Za-z0-9]{60,120}\b/dg, accept: hasDigit },
  { rule: 'stripe', pattern: /\b[rs]k_(?:live|test)_\w{16,255}/dg },
  { rule: 'huggingface', pattern: /\bhf_[A-Za-z0-9]{30,64}\b/dg },
  { rule: 'jwt', pattern: /(?<![\w-])eyJ[\w-]{8,8192}\.[\w-]{8,8192}\.[\w-]{16,2048}/dg },
  { rule: 'authorization', pattern: /\bbearer\s{1,8}([\w.~+/-]{16,8192}={0,2})/dgi, accept: hasDigit },
  { rule: 'authorization', pattern: /\bauthorization\\?["']?\s{0,8}[:=]\s{0,8}\\?["']?(?:basic|token)\s{1,8}([\w.~+/-]{8,8192}={0,2})/dgi },
  // a password in a URL, of any scheme; what is a variable is none
  { rule: 'basicauth', pattern: /:\/\/[^\s/@:'"<>]{0,128}:([^\s/@'"<>{}$*][^\s/@'"<>]{2,255})@[\w[]/dg },
  // "name": "value", as JSON and its like have it, in a text of JSON too
  {
    rule: 'setting',
    pattern:
      /["'][\w-]{0,40}?(?:api[_-]?key|access[_-]?key|private[_-]?key|secret|token|passw(?:or)?d)\\{0,7}["']\s{0,8}[:=]\s{0,8}\\{0,7}["']([^\s"'`$<>(){}[\]\\]{8,1024})\\{0,7}["']/dgi,
    accept: hasDigitAndLetter,
  },
  // NAME=value, as files of settings and shells have it
  {
    rule: 'setting',
    pattern:
      /\b[A-Z][A-Z0-9_]{0,60}(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|ACCESS_KEY|CREDENTIALS?)(?:_[A-Z0-9_]{1,30})?=\\?["']?([^\s"'`$<>(){}/.[\\][^\s"'`$<>(){}\\]{7,1024})/dg,
    accept: hasDigitAndLetter,
  },
  // the same, where the name ends and begins with the word
  {
    rule: 'setting',
    pattern: /\b(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|ACCESS_KEY)=\\?["']?([^\s"'`$<>(){}/.[\\][^\s"'`$<>(){}\\]{7,1024})/dg,
    accept: hasDigitAndLetter,
  },
]

export function findPatterns(text: string): Found[] {
  const found: Found[] = []
  for (const { rule, pattern, accept } of PATTERNS) {
    for (const match of text.matchAll(pattern)) {
      const [start, end] = match.indices?.[match[1] === undefined ? 0 : 1] ?? [0, 0]
      if (accept?.(text.slice(start, end)) ?? true) found.push({ start, end, rule })
    }
  }
  return found
}

const KEY_EDGE = /-----(BEGIN|END) [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----/g
/** No private key in letters is longer. */
const LONGEST_KEY = 128 * 1024
/** What follows the first line of a key whose last line is missing: lines of letters, and headers of the older formats. Line ends may be escaped. */
const KEY_LINES = /(?:(?:\s|\\[rn]){1,8}(?:[\w-]{1,40}: [^\n\\]{1,120}|[\w+/=]{24,128}|[\w+/]{1,127}={1,2}(?![\w+/=]))){1,4096}/y

/** Private keys from their first line to their last, or as far as they go. In one pass, so that a key is found whole wherever it stands. */
export function findPrivateKeys(text: string): Found[] {
  const edges = [...text.matchAll(KEY_EDGE)].map(({ index, 0: line, 1: edge }) => ({ edge, start: index, end: index + line.length }))
  const found: Found[] = []
  for (const [i, begin] of edges.entries()) {
    if (begin.edge !== 'BEGIN') continue
    const next = edges[i + 1]
    if (next?.edge === 'END' && next.end - begin.start <= LONGEST_KEY) found.push({ start: begin.start, end: next.end, rule: 'privatekey' })
    else if (begin.start >= (found.at(-1)?.end ?? 0)) {
      KEY_LINES.lastIndex = begin.end
      if (KEY_LINES.test(text)) found.push({ start: begin.start, end: KEY_LINES.lastIndex, rule: 'privatekey' })
    }
  }
  return found
}
