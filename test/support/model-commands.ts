/** What may happen on a model machine: to its sessions, to its processes, to the services, to the clock. Plain data, so that a run can be printed and repeated. */
import fc from 'fast-check'
import type { SessionKey } from '../../src/core/keys.js'
import type { LaneName } from '../../src/indexer/state-rows.js'
import { keyOf, type WorldMessage, type WorldSession } from './index-world.js'
import type { Host, Process } from './model-host.js'
import { POINTS, type Trap } from './model-process.js'

const FLAVOURS = ['plain', 'plain', 'plain', 'same', 'empty', 'long', 'poison', 'lethal', 'refused'] as const
type Flavour = (typeof FLAVOURS)[number]

/** `s`: a session, `p`: a process, `m`: a message, each by its place. */
export type Command =
  | { readonly do: 'append' | 'insert' | 'edit' | 'silent'; readonly s: number; readonly m: number; readonly text: Flavour }
  | { readonly do: 'stream' | 'grow'; readonly s: number }
  | { readonly do: 'settle' | 'unrevert' | 'delete-session' | 'rename' | 'unreadable' | 'exclude' | 'include'; readonly s: number }
  | { readonly do: 'delete' | 'revert'; readonly s: number; readonly m: number }
  | { readonly do: 'clock'; readonly ms: number; readonly wall?: boolean }
  | { readonly do: 'embedder' | 'sink' | 'tail'; readonly works: boolean }
  | {
      readonly do: 'run' | 'observe' | 'drain' | 'tick' | 'list-fail' | 'list-partly' | 'claim' | 'renew' | 'give-back' | 'zombie'
      readonly p: number
    }
  | { readonly do: 'sweep' | 'scan' | 'verify' | 'retry' | 'drop' | 'recover' | 'kill' | 'resume' | 'wal'; readonly p: number }
  | { readonly do: 'trapped'; readonly p: number; readonly trap: Trap }
  | { readonly do: 'reset' | 'forget' | 'wake'; readonly p: number; readonly s: number; readonly lane: LaneName }
  | { readonly do: 'space' | 'rot' }

export interface CommandOptions {
  /** What only a slow scan sees. */
  readonly scan: boolean
}

export function commandArbitrary({ scan }: CommandOptions): fc.Arbitrary<Command> {
  const s = fc.nat({ max: 3 })
  const p = fc.nat({ max: 2 })
  const m = fc.nat({ max: 5 })
  const text = fc.constantFrom(...FLAVOURS)
  const lane = fc.constantFrom<LaneName>('fresh', 'retry', 'scan', 'backfill')
  const trap = fc.record({
    point: fc.constantFrom(...POINTS),
    nth: fc.integer({ min: 1, max: 3 }),
    action: fc.constantFrom<Trap['action']>('kill', 'stop', 'stop', 'fail', 'down'),
  })
  const on = <K extends Command['do']>(...names: K[]) => fc.constantFrom(...names)
  const writes = scan ? on('append', 'append', 'insert', 'edit', 'silent') : on('append', 'append', 'insert', 'edit')
  const runs = on(
    'run',
    'run',
    'run',
    'run',
    'observe',
    'drain',
    'drain',
    'tick',
    'list-fail',
    'list-partly',
    'claim',
    'renew',
    'give-back',
    'zombie',
  )
  const acts = scan
    ? on('sweep', 'scan', 'verify', 'retry', 'drop', 'recover', 'kill', 'resume', 'resume')
    : on('sweep', 'verify', 'retry', 'drop', 'recover', 'kill', 'resume', 'resume')
  return fc.oneof(
    { weight: 10, arbitrary: fc.record({ do: writes, s, m, text }) },
    { weight: 3, arbitrary: fc.record({ do: on('stream', 'grow', 'grow'), s }) },
    {
      weight: 5,
      arbitrary: fc.record({ do: on('settle', 'settle', 'unrevert', 'delete-session', 'rename', 'unreadable', 'exclude', 'include'), s }),
    },
    { weight: 3, arbitrary: fc.record({ do: on('delete', 'revert'), s, m }) },
    { weight: 5, arbitrary: fc.record({ do: on('clock'), ms: fc.constantFrom(500, 4000, 11_000, 11_000, 120_000) }) },
    { weight: 1, arbitrary: fc.record({ do: on('clock'), ms: fc.constantFrom(-3_600_000, 3_600_000), wall: fc.constant(true) }) },
    { weight: 2, arbitrary: fc.record({ do: on('embedder', 'sink', 'tail'), works: fc.boolean() }) },
    { weight: 14, arbitrary: fc.record({ do: runs, p }) },
    { weight: 8, arbitrary: fc.record({ do: on('trapped'), p, trap }) },
    { weight: 6, arbitrary: fc.record({ do: acts, p }) },
    { weight: 3, arbitrary: fc.record({ do: on('reset', 'forget', 'wake'), p, s, lane }) },
    { weight: 1, arbitrary: fc.record({ do: on('space', 'rot') }) },
  ) as fc.Arbitrary<Command>
}

const idOf = (s: number): string => `ses_${'abcd'[s] ?? 'a'}`

/** What it came to, in a word, so that two machines can be compared. */
export async function carryOut(host: Host, command: Command): Promise<string> {
  switch (command.do) {
    case 'clock':
      if (command.wall === true) setClock(host, command.ms)
      else host.clock.advance(command.ms)
      return ''
    case 'embedder':
      host.weather.embedderDown = !command.works
      return ''
    case 'sink':
      host.weather.sinkDown = !command.works
      return ''
    case 'tail':
      host.world.tailComplete = command.works
      return ''
    case 'space':
      await host.switchSpace()
      return ''
    case 'rot':
      host.rotten = true
      host.witness.excuse()
      await host.place.damageRecords()
      return ''
    default:
      if ('p' in command) return byProcess(host, command)
      write(host, command)
      return ''
  }
}

/** From now on less of the session may be indexed than before, though it is as it was. */
function beginEpoch(host: Host, session: string): void {
  host.epochs.set(session, (host.epochs.get(session) ?? 0) + 1)
}

/** What was quiet for long is not any more on a clock that was set back. */
function setClock(host: Host, ms: number): void {
  host.clock.wall += ms
  for (const id of host.world.sessions.keys()) beginEpoch(host, id)
}

type Written = Exclude<Extract<Command, { readonly s: number }>, { readonly p: number }>

function textOf(flavour: Flavour, n: number): string {
  switch (flavour) {
    case 'plain':
      return `text #${n}`
    case 'same':
      return 'the same text everywhere'
    case 'empty':
      return ''
    case 'long':
      return Array.from({ length: 500 }, (_, i) => `sentence ${i} of #${n}.`).join(' ')
    case 'poison':
    case 'lethal':
    case 'refused':
      return `${flavour} #${n}`
  }
}

/** What an agent, or its user, does to a session. */
function write(host: Host, command: Written): void {
  const { world, weather, witness } = host
  const id = idOf(command.s)
  const key = keyOf(id)
  const session = world.sessions.get(id)
  switch (command.do) {
    case 'exclude':
      weather.excluded.add(id)
      beginEpoch(host, id)
      witness.excuse(key)
      return
    case 'include':
      weather.excluded.delete(id)
      return
    case 'unreadable':
      if (!world.failing.delete(id)) world.failing.add(id)
      return
    case 'delete-session':
      world.sessions.delete(id)
      beginEpoch(host, id)
      witness.excuse(key)
      return
    default:
      change(host, session ?? world.add(id, [], { updated: host.clock.now() }), command)
  }
}

function change(host: Host, session: WorldSession, command: Exclude<Written, { do: 'exclude' | 'include' | 'unreadable' | 'delete-session' }>): void {
  const { messages } = session
  const last = messages.at(-1)
  const now = host.clock.now()
  const at = 'm' in command ? Math.min(command.m, messages.length - 1) : -1
  const place = messages[at]
  const silent = command.do === 'silent'
  switch (command.do) {
    case 'append':
      messages.push(newMessage(host, session, textOf(command.text, ++host.texts), now))
      break
    case 'insert':
      messages.splice(Math.max(0, at), 0, newMessage(host, session, textOf(command.text, ++host.texts), now))
      break
    case 'edit':
    case 'silent':
      if (place !== undefined) Object.assign(place, { text: textOf(command.text, ++host.texts), version: place.version + 1, changed: now })
      break
    case 'stream': {
      const { completed: _, ...streaming } = newMessage(host, session, `first words #${++host.texts}`, now)
      messages.push({ ...streaming, role: 'assistant' })
      break
    }
    case 'grow':
      if (last?.role === 'assistant' && last.completed === undefined)
        Object.assign(last, { text: `${last.text} and #${++host.texts}`, version: last.version + 1, changed: now })
      break
    case 'settle':
      for (const message of messages) if (message.role === 'assistant') settle(message, now)
      break
    case 'delete':
      beginEpoch(host, session.id)
      messages.splice(at, place === undefined ? 0 : 1)
      break
    case 'revert':
      host.witness.excuse(keyOf(session.id))
      if (place !== undefined) session.revert = place.id
      break
    case 'unrevert':
      host.witness.excuse(keyOf(session.id))
      delete session.revert
      break
    case 'rename':
      host.witness.excuse(keyOf(session.id))
      session.title = `Title ${++host.texts}`
  }
  if (silent) return
  session.updated = now
  session.revision++
}

function settle(message: WorldMessage, now: number): void {
  if (message.completed !== undefined) return
  Object.assign(message, { completed: now, version: message.version + 1, changed: now })
}

function newMessage(host: Host, session: WorldSession, text: string, now: number): WorldMessage {
  const made = ++host.made
  const id = `msg_${session.id}_${String(made).padStart(6, '0')}`
  const role = made % 2 === 0 ? 'assistant' : 'user'
  return { id, role, text, changed: now, version: 1, ...(role === 'assistant' ? { completed: now } : {}) }
}

async function byProcess(host: Host, command: Extract<Command, { readonly p: number }>): Promise<string> {
  const process = await host.processAt(command.p)
  if (command.do === 'resume') return host.resume(process)
  if (command.do === 'kill') {
    host.kill(process)
    return ''
  }
  // What is stopped does nothing.
  if (process.gate.state === 'stopped') return 'stopped'
  if (command.do === 'trapped') process.gate.arm(command.trap)
  return host.run(process, () => act(host, process, command))
}

async function act(host: Host, process: Process, command: Extract<Command, { readonly p: number }>): Promise<unknown> {
  const { indexer, state } = process
  switch (command.do) {
    case 'run':
    case 'trapped':
      await indexer.observe()
      return indexer.drain()
    case 'observe':
      return indexer.observe()
    case 'drain':
      return indexer.drain()
    case 'tick':
      return indexer.tick({ maxSessions: 2 })
    case 'recover':
      return indexer.walRecover()
    case 'list-fail':
    case 'list-partly':
      return listBadly(host, process, command.do)
    case 'claim':
      return claimOnly(process)
    case 'renew':
    case 'give-back':
    case 'zombie':
      return withHeld(process, command.do)
    case 'sweep':
      return state.sweep()
    case 'scan':
      return state.slowScan({ limit: 2, minAgeMs: 0 })
    case 'verify':
      return state.verify()
    case 'retry':
      return indexer.retry()
    case 'drop':
      return indexer.drop()
    case 'wal':
      return indexer.walStatus()
    case 'reset':
      return indexer.resetSession(keyFor(command.s))
    case 'forget':
      beginEpoch(host, idOf(command.s))
      host.witness.excuse(keyFor(command.s))
      return indexer.forget([keyFor(command.s)])
    case 'wake':
      return state.wake([keyFor(command.s)], command.lane)
    case 'kill':
    case 'resume':
      return
  }
}

const keyFor = (s: number): SessionKey => keyOf(idOf(s))

/** I10: a listing that fails, or that is not complete, tells of nothing that is gone. */
async function listBadly(host: Host, { indexer }: Process, how: 'list-fail' | 'list-partly'): Promise<void> {
  const { world, weather } = host
  const goneBefore = host.observer.sessions().filter(({ gone }) => gone).length
  const sessions = [...world.sessions]
  weather.listFails = how === 'list-fail'
  if (how === 'list-partly') {
    world.stores.set('/store', false)
    for (const [id] of sessions.slice(0, 2)) world.sessions.delete(id)
  }
  try {
    await indexer.observe()
  } finally {
    weather.listFails = false
    world.stores.set('/store', true)
    world.sessions.clear()
    for (const [id, session] of sessions) world.sessions.set(id, session)
    const gone = host.observer.sessions().filter((session) => session.gone && !weather.excluded.has(session.key.session)).length
    if (gone > goneBefore) host.witness.violations.push(`I10: ${gone} sessions are gone after a listing that was not complete, ${goneBefore} before`)
  }
}

/** Claims and does nothing, as a process that hangs. */
async function claimOnly({ state, held, indexer }: Process): Promise<void> {
  await indexer.observe()
  const claim = await state.claim()
  if (claim !== undefined) held.push(claim)
}

async function withHeld({ state, held }: Process, what: 'renew' | 'give-back' | 'zombie'): Promise<string> {
  const claim = held.shift()
  if (claim === undefined) return 'nothing held'
  try {
    if (what === 'renew') {
      await state.renew(claim)
      held.push(claim)
    } else if (what === 'give-back') await state.release(claim, { kind: 'stopped' })
    else await state.commit(claim, { ledger: [], dead: [] })
    return what
  } catch {
    // Its lease is somebody else's.
    await state.lost(claim)
    return 'lost'
  } finally {
    if (what === 'zombie') await state.lost(claim)
  }
}
