/** Random sessions, and random harm to the bytes of their logs; the same for the same seed. */
import type { Block, SaidSession, Saying } from './log-sayings.js'

/** From 0 up to `below`. */
export type Dice = (below: number) => number

/** Mulberry32. */
export function dice(seed: number): Dice {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

const START = Date.parse('2026-03-01T10:00:00.000Z')
const WORDS = ['one', 'zwölf', '\u{1f9f5}', '大きさ', '"quoted"', 'back\\slash', 'line\nbreak', '{"meta":', '}{', '\u0000', '<tag>', ' ']

export function randomSession(random: Dice, n: number): SaidSession {
  // Of ids that lie far apart none turns into another one.
  const id = `${(Math.imul(n + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')}-1111-4222-8333-444444444444`
  const created = START + n * 1000
  const sayings: Saying[] = []
  for (let left = 1 + random(7), at = 0; at < left; at++) sayings.push(randomSaying(random, at, created + (at + 1) * 1000, sayings))
  return {
    id,
    title: textOf(random),
    cwd: '/work/app',
    created,
    sayings,
    newline: random(6) === 0 ? '\r\n' : '\n',
    mark: random(10) === 0,
    blanks: random(6) === 0,
  }
}

function randomSaying(random: Dice, at: number, time: number, before: readonly Saying[]): Saying {
  const id = `a${at.toString(16).padStart(7, '0')}`
  const after = before.length > 1 && random(5) === 0 ? before[random(before.length)]?.id : undefined
  const branch = after === undefined ? {} : { after }
  if (random(12) === 0) return { id, role: 'unknown', time, blocks: [], ...branch }
  if (random(2) === 0) return { id, role: 'user', time, blocks: [{ text: textOf(random) }], ...branch }
  const blocks: Block[] = random(3) === 0 ? [{ thought: textOf(random) }] : []
  blocks.push({ text: textOf(random) })
  for (let calls = random(3); calls > 0; calls--) {
    const answer = random(4) === 0 ? {} : { answer: textOf(random), failed: random(3) === 0 }
    blocks.push({ call: `c-${at}-${calls}`, tool: 'bash', input: { of: textOf(random) }, ...answer })
  }
  return { id, role: 'assistant', time, blocks, ...branch }
}

function textOf(random: Dice): string {
  return Array.from({ length: 1 + random(5) }, () => WORDS[random(WORDS.length)]).join(' ')
}

type Harm = (bytes: Buffer, random: Dice) => Buffer

/** Each gives other bytes, or the same where it finds nothing to harm. */
export const HARMS: Readonly<Record<string, Harm>> = {
  cut: (bytes, random) => bytes.subarray(0, random(bytes.length + 1)),
  'cut out': (bytes, random) => {
    const from = random(bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random(60))])
  },
  swap: (bytes, random) => {
    const lines = bytes.toString('latin1').split('\n')
    const [a, b] = [random(lines.length), random(lines.length)]
    return joined(lines.map((line, at) => (at === a ? (lines[b] ?? '') : at === b ? (lines[a] ?? '') : line)))
  },
  'flip bits': (bytes, random) => {
    const copy = Buffer.from(bytes)
    for (let flips = 1 + random(3); flips > 0 && copy.length > 0; flips--) {
      const at = random(copy.length)
      copy[at] = (copy[at] as number) ^ (1 << random(8))
    }
    return copy
  },
  glue: (bytes, random) => {
    const lines = bytes.toString('latin1').split('\n')
    const at = random(Math.max(1, lines.length - 1))
    return joined([...lines.slice(0, at), lines.slice(at, at + 2).join(''), ...lines.slice(at + 2)])
  },
  NULs: (bytes, random) => {
    const nuls = Buffer.alloc(1 + random(random(5) === 0 ? 9000 : 40))
    const newline = bytes.indexOf('\n', random(bytes.length + 1))
    const at = random(2) === 0 || newline < 0 ? random(bytes.length + 1) : newline + 1
    return Buffer.concat([bytes.subarray(0, at), nuls, bytes.subarray(random(2) === 0 ? at : at + nuls.length)])
  },
  repeat: (bytes, random) => {
    const lines = bytes.toString('latin1').split('\n')
    lines.splice(random(lines.length), 0, lines[random(lines.length)] ?? '')
    return joined(lines)
  },
  strangers: (bytes, random) => {
    const lines = bytes.toString('latin1').split('\n')
    lines.splice(random(lines.length), 0, STRANGERS[random(STRANGERS.length)] ?? '')
    return joined(lines)
  },
  ids: (bytes, random) => {
    const text = bytes.toString('latin1')
    const ids = [...text.matchAll(/"a[0-9a-f]{7}/g)]
    const [from, to] = [ids[random(ids.length)], ids[random(ids.length)]]
    if (from === undefined || to === undefined) return bytes
    return Buffer.from(text.slice(0, from.index) + to[0] + text.slice(from.index + from[0].length), 'latin1')
  },
}

const STRANGERS = [
  '',
  '\r',
  '[]',
  'null',
  '{}',
  '{"type":5}',
  '{"type":"message"}',
  '{"id":null,"message":[]}',
  '\xef\xbb\xbf{"a":1}',
  '{"a":"\xff"}',
  '{',
  '"',
  '}{',
]

function joined(lines: readonly string[]): Buffer {
  return Buffer.from(lines.join('\n'), 'latin1')
}

/** Harms the bytes one to four times. Gives what was done, too. */
export function harmed(bytes: Buffer, random: Dice): { readonly bytes: Buffer; readonly done: readonly string[] } {
  const names = Object.keys(HARMS)
  const done: string[] = []
  let result = bytes
  for (let harms = 1 + random(4); harms > 0; harms--) {
    const name = names[random(names.length)] ?? ''
    result = HARMS[name]?.(result, random) ?? result
    done.push(name)
  }
  return { bytes: result, done }
}
