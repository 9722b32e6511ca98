/** SIGKILL at every crash point and at odd moments: afterwards the sink holds what an undisturbed run would have put there. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const CHILD = fileURLToPath(new URL('../support/index-child.mjs', import.meta.url))
const DIST = fileURLToPath(new URL('../../dist/indexer/indexer.js', import.meta.url))

interface Session {
  readonly id: string
  readonly title: string
  readonly messages: readonly { readonly id: string; readonly text: string }[]
}

function session(id: string, title: string, texts: readonly string[]): Session {
  return { id, title, messages: texts.filter((text) => text !== '').map((text, i) => ({ id: `msg_${id}_${String(i).padStart(3, '0')}`, text })) }
}

const many = (prefix: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${prefix} ${i}`)
const BEFORE = [session('ses_a', 'A', many('a', 10)), session('ses_b', 'B', many('b', 6)), session('ses_c', 'C', many('c', 5))]
/** Edits, deletions, additions, a new title, a session that is gone, one that is new. */
const AFTER = [
  session('ses_a', 'A', [...many('a', 4), 'a edited', 'a edited twice', ...many('new', 9)]),
  session('ses_b', 'B, renamed', many('b', 2)),
  session('ses_d', 'D', [...many('d', 7), 'a 1']),
]

let root = ''
let undisturbed: string[] = []

interface Place {
  readonly folder: string
  readonly world: string
}

/** A folder in which the first world was indexed, with the second before it. */
function place(name: string): Place {
  const folder = join(root, name)
  cpSync(join(root, 'base'), folder, { recursive: true })
  return { folder, world: join(root, 'after.json') }
}

interface RunOptions {
  readonly killAt?: string
  readonly delay?: number
  readonly cache?: boolean
  /** Milliseconds after the child is ready. */
  readonly killAfter?: number
}

async function run({ folder, world }: Place, { killAt = '', delay = 0, cache = false, killAfter }: RunOptions = {}): Promise<string> {
  const child = spawn(process.execPath, [CHILD, folder, world, killAt, String(delay), cache ? 'cache' : ''], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (killAfter !== undefined) {
    child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), killAfter))
  }
  child.stdout.resume()
  const [code, signal] = await once(child, 'exit')
  return signal ?? String(code)
}

function contentOf(folder: string): string[] {
  const rows = new Map<string, string>()
  for (const line of linesOf(join(folder, 'sink.log'))) {
    const { id, deleted } = JSON.parse(line) as { id: string; deleted?: true }
    if (deleted) rows.delete(id)
    else rows.set(id, line)
  }
  return [...rows.values()].sort()
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
}

/** Texts embedded after a WAL record with them had become durable. */
function repeatedAfterDurable(folder: string): string[] {
  const durable = new Set<string>()
  const repeated: string[] = []
  for (const line of linesOf(join(folder, 'events.log'))) {
    if (line.startsWith('W ')) durable.add(line.slice(2))
    else if (durable.has(line.slice(2))) repeated.push(line.slice(2))
  }
  return repeated
}

beforeAll(async () => {
  if (!existsSync(DIST)) throw new Error('dist/ is missing: run `npm run build` first')
  root = mkdtempSync(join(tmpdir(), 'spanleaf-crash-'))
  writeFileSync(join(root, 'before.json'), JSON.stringify(BEFORE))
  writeFileSync(join(root, 'after.json'), JSON.stringify(AFTER))
  const base = { folder: join(root, 'base'), world: join(root, 'before.json') }
  mkdirSync(base.folder)
  expect(await run(base)).toBe('0')
  expect(contentOf(base.folder)).toHaveLength(21)
  rmSync(join(base.folder, 'events.log'))
  const calm = place('calm')
  expect(await run(calm)).toBe('0')
  undisturbed = contentOf(calm.folder)
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

const POINTS = [
  ...['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'k'].flatMap((point) => [`${point}:1`, `${point}:2`]),
  ...['j:1', 'j:2', 'j:4', 'j:7', 'j:11', 'j:16', 'j:22'],
]

describe('killed at a crash point', () => {
  it('the undisturbed run leaves what the second world says', () => {
    const ids = new Set(undisturbed.map((line) => (JSON.parse(line) as { session: string }).session))
    expect([...ids].sort()).toEqual(['ses_a', 'ses_b', 'ses_d'])
    expect(undisturbed).toHaveLength(15 + 2 + 8)
    const titles = undisturbed.map((line) => (JSON.parse(line) as { title: string }).title)
    expect(titles).not.toContain('B')
  })

  it.concurrent.each(POINTS)('%s, the next run ends where an undisturbed one does', async (killAt) => {
    const there = place(`point-${killAt.replace(':', '-')}`)
    expect(await run(there, { killAt })).toBe('SIGKILL')
    expect(await run(there)).toBe('0')
    expect(contentOf(there.folder)).toEqual(undisturbed)
    expect(repeatedAfterDurable(there.folder)).toEqual([])
  })

  it.concurrent.each(['c:2', 'd:1', 'd:3', 'f:2', 'j:9'])('%s with a cache, no text is embedded twice at all', async (killAt) => {
    const there = place(`cache-${killAt.replace(':', '-')}`)
    expect(await run(there, { killAt, cache: true })).toBe('SIGKILL')
    expect(await run(there, { cache: true })).toBe('0')
    expect(contentOf(there.folder)).toEqual(undisturbed)
    const embedded = linesOf(join(there.folder, 'events.log')).filter((line) => line.startsWith('E '))
    expect(new Set(embedded).size).toBe(embedded.length)
  })

  it.concurrent.each(['c:1', 'c:2', 'c:3', 'd:2'])('%s without one, at most one record is embedded again', async (killAt) => {
    const there = place(`record-${killAt.replace(':', '-')}`)
    expect(await run(there, { killAt })).toBe('SIGKILL')
    expect(await run(there)).toBe('0')
    const embedded = linesOf(join(there.folder, 'events.log')).filter((line) => line.startsWith('E '))
    // Four chunks to a record, one chunk to a message.
    expect(embedded.length - new Set(embedded).size).toBeLessThanOrEqual(4)
  })
})

describe('killed at odd moments', () => {
  it('again and again, alone, it ends where an undisturbed run does', async () => {
    const there = place('odd')
    const ends: string[] = []
    for (const killAfter of [1, 30, 12, 45, 21, 7, 60, 3]) ends.push(await run(there, { killAfter, delay: 5 }))
    expect(ends).toContain('SIGKILL')
    expect(await run(there)).toBe('0')
    expect(contentOf(there.folder)).toEqual(undisturbed)
    expect(repeatedAfterDurable(there.folder)).toEqual([])
  }, 30_000)

  it('three processes on one state, it ends where an undisturbed run does', async () => {
    const there = place('three')
    const kills = [
      [5, 25, 60],
      [40, 2, 15],
      [10, 33, 1],
    ]
    for (const round of kills) await Promise.all(round.map((killAfter) => run(there, { killAfter, delay: 5 })))
    expect(await run(there)).toBe('0')
    expect(contentOf(there.folder)).toEqual(undisturbed)
    expect(repeatedAfterDurable(there.folder)).toEqual([])
  }, 30_000)
})
