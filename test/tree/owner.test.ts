import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { procOwners } from '../../src/tree/catalog/owner.js'
import { tempFolder } from '../support/index-world.js'

interface FakeProc {
  readonly boot?: string
  readonly namespace?: string
  /** pid -> [state, start]. */
  readonly processes: Readonly<Record<number, readonly [string, string]>>
}

function fakeProc(root: string, { boot, namespace, processes }: FakeProc): void {
  mkdirSync(join(root, 'sys/kernel/random'), { recursive: true })
  mkdirSync(join(root, 'self/ns'), { recursive: true })
  if (boot !== undefined) writeFileSync(join(root, 'sys/kernel/random/boot_id'), `${boot}\n`)
  if (namespace !== undefined) symlinkSync(namespace, join(root, 'self/ns/pid'))
  for (const [pid, [state, start]] of Object.entries(processes)) {
    mkdirSync(join(root, pid))
    writeFileSync(join(root, pid, 'stat'), `${pid} (node (x) y) ${state} ${'0 '.repeat(18)}${start} 0 0\n`)
  }
}

const WORLD: FakeProc = { boot: 'b1', namespace: 'pid:[1]', processes: { 1: ['S', '100'], 2: ['R', '200'], 3: ['Z', '300'] } }
const owner = { pid: 2, boot: 'b1', start: '200', namespace: 'pid:[1]' }

describe('the owner of a lease', () => {
  it('is who it says it is', () => {
    using folder = tempFolder()
    fakeProc(folder.path, WORLD)
    expect(procOwners(2, folder.path).self()).toEqual(owner)
  })

  it.each<[string, Partial<typeof owner>, boolean]>([
    ['itself', {}, false],
    ['of another boot', { boot: 'b0' }, true],
    ['whose pid is another process now', { start: '150' }, true],
    ['whose pid is gone', { pid: 9 }, true],
    ['that is dead and not yet reaped', { pid: 3, start: '300' }, true],
    ['of another pid namespace', { pid: 9, namespace: 'pid:[2]' }, false],
  ])('%s', (_name, change, gone) => {
    using folder = tempFolder()
    fakeProc(folder.path, WORLD)
    expect(procOwners(1, folder.path).isGone({ ...owner, ...change })).toBe(gone)
  })

  it.each<[string, FakeProc]>([
    ['the boot', { processes: WORLD.processes, namespace: 'pid:[1]' }],
    ['the namespace', { processes: WORLD.processes, boot: 'b1' }],
    ['the processes', { processes: {}, boot: 'b1', namespace: 'pid:[1]' }],
  ])('is never gone where %s cannot be read', (_name, proc) => {
    using folder = tempFolder()
    fakeProc(folder.path, proc)
    expect(procOwners(1, folder.path).isGone({ ...owner, pid: 9 })).toBe(false)
    expect(procOwners(1, join(folder.path, 'nowhere')).isGone(owner)).toBe(false)
  })

  it.runIf(process.platform === 'linux')('is told from a real process that ended', async () => {
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'])
    await once(child, 'spawn')
    const theirs = procOwners(child.pid).self()
    expect(procOwners().isGone(theirs)).toBe(false)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(procOwners().isGone(theirs)).toBe(true)
  })
})
