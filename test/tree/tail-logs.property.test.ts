/** Whatever happens to a log, what its cursors give adds up to what reading all of it gives. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import type { Cursor } from '../../src/storage/cursor.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { FlowResult, MessageNode, SessionHydratedTree } from '../../src/tree/types.js'
import { type ManualClock, manualClock } from '../support/clocks.js'
import { GROWING, type GrowingLog, type LogAgent, type Pick, pickFrom } from '../support/growing-logs.js'
import { type TempFolder, tempFolder } from '../support/temp.js'

const ZSTD = spawnSync('zstd', ['--version']).status === 0
const RUNS = Number(process.env.TAIL_RUNS ?? 15)

/** What its agent does to a log. */
const USUAL = ['append', 'append', 'append', 'append', 'append', 'append', 'append', 'burst', 'torn', 'torn', 'nothing'] as const
/** What else may happen. */
const UNUSUAL = ['damage', 'twice', 'rewrite equal', 'rewrite', 'truncate', 'replace', 'rotate', 'remove', 'pack', 'fold', 'touch', 'wait'] as const

type Op = (typeof USUAL | typeof UNUSUAL)[number]

interface Step {
  readonly op: Op
  readonly seed: number
  /** The log is read after it. */
  readonly reads: boolean
  /** In another process, as it were. */
  readonly fresh: boolean
}

const stepsOf = (ops: readonly Op[], maxLength: number): fc.Arbitrary<Step[]> => {
  const reads = fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.boolean())
  return fc.array(fc.record<Step>({ op: fc.constantFrom(...ops), seed: fc.nat(), reads, fresh: fc.boolean() }), { minLength: 3, maxLength })
}
const FIRST: Step = { op: 'nothing', seed: 0, reads: true, fresh: false }

/** A log that things happen to. */
class Fate implements Disposable {
  readonly folder: TempFolder = tempFolder()
  readonly root: string
  readonly clock: ManualClock = manualClock(Date.now())
  readonly log: GrowingLog
  readonly #path: string
  readonly #isJcode: boolean
  /** What a torn line lacks. */
  #owed = ''

  constructor(agent: LogAgent) {
    this.log = GROWING[agent]()
    this.root = join(this.folder.path, `.${agent}`)
    this.#path = join(this.root, this.log.path)
    this.#isJcode = agent === 'jcode'
    mkdirSync(dirname(this.#path), { recursive: true })
    // The folder is never without a log.
    const other = this.#path.replaceAll(this.log.session, this.log.session.replace('0', '9'))
    writeFileSync(other, GROWING[agent]().next(pickFrom(1)).join('\n').replaceAll(this.log.session, this.log.session.replace('0', '9')).concat('\n'))
    this.#append(`${[...this.log.head(), ...this.log.next(pickFrom(2))].join('\n')}\n`)
    this.#fold(pickFrom(3))
  }

  /** Undefined when it makes no difference. */
  act({ op, seed }: Step): void {
    const pick = pickFrom(seed)
    this.clock.wall += 1000
    if (op === 'wait') this.clock.wall += 20_000
    if (op === 'wait' || op === 'nothing') return
    if (op === 'pack') {
      this.#pack()
      return
    }
    if (existsSync(`${this.#path}.zst`)) this.#unpack()
    if (op === 'append') this.#append(lines(pick, 1 + pick(5), () => this.log.next(pick)))
    else if (op === 'burst') this.#append(lines(pick, 1, () => this.log.next(pick, 60 + pick(20))))
    else if (op === 'torn')
      this.#tear(
        lines(pick, 1 + pick(2), () => this.log.next(pick)),
        pick,
      )
    else if (op === 'twice') this.#again(pick)
    else if (op === 'damage') this.#append(['{"type":"use', '\0\0\0\0', '[1,2]', '  ', '{"half":'][pick(5)]?.concat('\n') ?? '')
    else if (op === 'fold') this.#fold(pick)
    else this.#change(op, pick)
  }

  #text(): string {
    return existsSync(this.#path) ? readFileSync(this.#path, 'latin1') : ''
  }

  #append(text: string): void {
    appendFileSync(this.#path, Buffer.from(this.#owed + text, 'latin1'))
    this.#owed = ''
    this.#dated(this.#path)
  }

  /** Every write has a time of its own by the clock. */
  #dated(path: string): void {
    utimesSync(path, this.clock.wall / 1000, this.clock.wall / 1000)
  }

  #tear(text: string, pick: Pick): void {
    const cut = 1 + pick(text.length - 1)
    this.#append(text.slice(0, cut))
    this.#owed = text.slice(cut)
  }

  /** Lines that stood there before, as they are or with something else around. */
  #again(pick: Pick): void {
    const all = this.#text().split('\n').slice(0, -1)
    const from = pick(Math.max(1, all.length))
    const copies = all.slice(from, from + 1 + pick(5)).filter((line) => line !== '')
    if (copies.length > 0) this.#append(`${copies.join('\n')}\n`)
  }

  #change(op: Op, pick: Pick): void {
    const text = this.#text()
    this.#owed = ''
    if (op === 'rewrite equal') this.#overwrite(text.replace(/words \d/g, (word) => (pick(9) === 0 ? `words ${pick(10)}` : word)))
    else if (op === 'rewrite') this.#overwrite(without(text, pick) + lines(pick, pick(3), () => this.log.next(pick)))
    else if (op === 'truncate') this.#overwrite(text.slice(0, pick(text.length + 1)))
    else if (op === 'touch' && existsSync(this.#path)) this.#dated(this.#path)
    else if (op === 'replace') this.#replace(pick(2) === 0 ? text : without(text, pick))
    else if (op === 'rotate') {
      if (existsSync(this.#path)) renameSync(this.#path, `${this.#path}.1`)
      this.#append(`${[...this.log.head(), ...this.log.next(pick)].join('\n')}\n`)
    } else if (op === 'remove') {
      if (existsSync(this.#path)) rmSync(this.#path)
      else this.#append(`${[...this.log.head(), ...this.log.next(pick)].join('\n')}\n`)
    }
  }

  #overwrite(text: string): void {
    writeFileSync(this.#path, Buffer.from(text, 'latin1'))
    this.#dated(this.#path)
  }

  #replace(text: string): void {
    writeFileSync(`${this.#path}.tmp`, Buffer.from(text, 'latin1'))
    renameSync(`${this.#path}.tmp`, this.#path)
    this.#dated(this.#path)
  }

  #pack(): void {
    if (!ZSTD || !this.#path.includes('rollout-') || !existsSync(this.#path)) return
    this.#owed = ''
    spawnSync('zstd', ['-q', '--rm', this.#path])
    this.#dated(`${this.#path}.zst`)
  }

  #unpack(): void {
    spawnSync('zstd', ['-q', '-d', '--rm', `${this.#path}.zst`])
    this.#dated(this.#path)
  }

  /** The snapshot takes in the journal, which goes, or is left for the moment. */
  #fold(pick: Pick): void {
    if (!this.#isJcode) return
    const snapshot = this.#path.replace('.journal.jsonl', '.json')
    const before = existsSync(snapshot) ? JSON.parse(readFileSync(snapshot, 'utf8')) : { id: this.log.session, title: 'a session', messages: [] }
    const messages = new Map<string, object>(before.messages.map((message: { id: string }) => [message.id, message]))
    for (const line of this.#text().split('\n')) {
      try {
        for (const message of JSON.parse(line).append_messages) messages.set(message.id, message)
      } catch {
        // jcode leaves out what is damaged.
      }
    }
    writeFileSync(`${snapshot}.tmp`, JSON.stringify({ ...before, messages: [...messages.values()] }))
    renameSync(`${snapshot}.tmp`, snapshot)
    this.#dated(snapshot)
    this.#owed = ''
    if (pick(2) === 0) rmSync(this.#path, { force: true })
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }
}

function lines(_pick: Pick, count: number, next: () => readonly string[]): string {
  return Array.from({ length: count }, next)
    .flat()
    .map((line) => `${line}\n`)
    .join('')
}

function without(text: string, pick: Pick): string {
  const all = text.split('\n')
  all.splice(pick(all.length), 1 + pick(3))
  return all.join('\n')
}

const told = ({ key, message, parts, damagedParts, log }: MessageNode): object => ({ id: key.message, message, parts, damagedParts, log })

/** What somebody holds who is told of changes alone. */
class Model {
  messages: MessageNode[] = []
  cursor: Cursor | undefined
  readonly rereads: string[] = []

  take(result: FlowResult<SessionHydratedTree>): void {
    if (result.status === 'failed') throw result.error
    const { value, reread, removed = [], cursor } = result
    if (reread !== undefined) this.rereads.push(reread)
    if (reread !== undefined || this.cursor === undefined) this.messages = []
    const gone = new Set<string>(removed)
    this.messages = this.messages.filter(({ key }) => !gone.has(key.message))
    for (const node of value.messages) {
      const at = this.messages.findIndex(({ key }) => key.message === node.key.message)
      if (at < 0) this.messages.push(node)
      else this.messages[at] = node
    }
    this.cursor = cursor === undefined ? this.cursor : JSON.parse(JSON.stringify(cursor))
  }
}

async function resultOrGone(
  sessions: Sessions,
  request: Parameters<typeof runSessionTreeFlow>[1],
): Promise<FlowResult<SessionHydratedTree> | undefined> {
  try {
    return await runSessionTreeFlow(sessions, request)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

interface Followed {
  readonly reads: number
  /** Why the log was read from its start. */
  readonly rereads: readonly string[]
}

/** Reads after the steps, and holds what is told of changes against the whole. */
async function follow(agent: LogAgent, steps: readonly Step[]): Promise<Followed> {
  using fate = new Fate(agent)
  const { clock } = fate
  const open = (): Promise<Sessions> => openSessions({ data: fate.root, clock })
  await using held = await open()
  const session = sessionKey(agent, parseSessionId(fate.log.session))
  const model = new Model()
  let reads = 0
  for (const [at, step] of [FIRST, ...steps].entries()) {
    fate.act(step)
    if (!step.reads) continue
    await using fresh = await open()
    const whole = await resultOrGone(fresh, { session })
    const tail = await resultOrGone(step.fresh ? fresh : held, { session, ...(model.cursor && { since: model.cursor }) })
    expect(tail === undefined, `step ${at}: gone`).toBe(whole === undefined)
    if (whole === undefined || tail === undefined) continue
    if (whole.status === 'failed') throw whole.error
    reads++
    model.take(tail)
    expect(model.messages.map(told), `step ${at}: ${step.op}`).toEqual(whole.value.messages.map(told))
  }
  return { reads, rereads: model.rereads }
}

describe.each(Object.keys(GROWING) as LogAgent[])('the tails of a log of %s', (agent) => {
  it('add up to the whole as its agent writes it, mostly without reading it again', { timeout: 600_000 }, async () => {
    let [reads, rereads] = [0, 0]
    const property = fc.asyncProperty(stepsOf(USUAL, 30), async (steps) => {
      const followed = await follow(agent, steps)
      reads += followed.reads
      rereads += followed.rereads.length
    })
    await fc.assert(property, { numRuns: RUNS })
    if (process.env.TAIL_RUNS) console.log(agent, reads, rereads)
    expect(rereads).toBeLessThan(reads / 2)
  })

  it('add up to the whole, whatever happens to it', { timeout: 600_000 }, async () => {
    const met = new Set<string>()
    const property = fc.asyncProperty(stepsOf([...USUAL, ...UNUSUAL, ...UNUSUAL], 20), async (steps) => {
      for (const reason of (await follow(agent, steps)).rereads) met.add(reason)
    })
    await fc.assert(property, { numRuns: RUNS })
    if (process.env.TAIL_RUNS) console.log(agent, [...met])
  })
})
