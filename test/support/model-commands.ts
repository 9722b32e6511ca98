/** What may happen on a model machine: to its sessions, to its processes, to the services, to the clock. Plain data, so that a run can be printed and repeated. */
import fc from 'fast-check'
import type { LaneName } from '../../src/indexer/state/rows.js'
import { POINTS, type Trap } from './model-process.js'

const FLAVOURS = ['plain', 'plain', 'plain', 'same', 'empty', 'long', 'poison', 'lethal', 'refused'] as const
export type Flavour = (typeof FLAVOURS)[number]

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
