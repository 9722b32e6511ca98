/** Carries a command out on a model machine. */
import type { SessionKey } from '../../src/core/keys.js'
import { keyOf } from './index-world.js'
import type { Command } from './model-commands.js'
import type { Host, Process } from './model-host.js'
import { beginEpoch, idOf, setClock, write } from './model-writes.js'

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
      return await indexer.walStatus()
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
