/** The optional peer that tells of changes: what it cannot do is found out before it is asked. Limits are those of a user namespace of the test's own. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import workerThreads from 'node:worker_threads'
import { afterAll, describe, expect, it } from 'vitest'
import { loadParcelWatcher } from '../../src/storage/watch/parcel.js'
import type { FolderEvent } from '../../src/storage/watch/watch.js'
import { replaced } from '../support/builtin.js'
import { tempFolder } from '../support/temp.js'
import { piLogs } from '../support/watching.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const LIMITED = spawnSync('unshare', ['-Ur', 'sh', '-c', 'echo 20 > /proc/sys/user/max_inotify_watches']).status === 0
const BUILT = existsSync(join(REPOSITORY, 'dist', 'tree', 'watch', 'watch.js'))

/** Runs a script where the user has only so much of inotify. */
function withLimit(limit: string, script: string): string {
  const [name, value] = limit.split('=')
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    ['-Ur', 'sh', '-c', `echo ${value} > /proc/sys/user/max_inotify_${name}; exec node --input-type=module -e "$SCRIPT"`],
    { cwd: REPOSITORY, encoding: 'utf8', timeout: 20_000, env: { ...process.env, SCRIPT: script } },
  )
  expect([status, stderr]).toEqual([0, ''])
  return stdout.trim()
}

describe('the watcher', () => {
  it('is the one of the system, and no other is asked of it', async () => {
    expect(await loadParcelWatcher('inotify', 'darwin')).toEqual({ why: 'there is no backend inotify on darwin' })
    expect(await loadParcelWatcher('auto', 'sunos')).toEqual({ why: 'no events of folders are known on sunos' })
    expect(await loadParcelWatcher('fs-events', 'linux')).toEqual({ why: 'there is no backend fs-events on linux' })
    expect((await loadParcelWatcher('auto')).why).toBeUndefined()
  })

  it.skipIf(spawnSync('watchman', ['--version']).error === undefined)(
    'is not asked for Watchman where none answers: that would end the process',
    async () => {
      expect(await loadParcelWatcher('watchman')).toEqual({ why: 'Watchman does not answer (ENOENT)' })
    },
  )

  it.skipIf(process.platform !== 'linux')('is looked for once by all who begin together, and again by who begins later', async () => {
    let threads = 0
    using _ = replaced(
      workerThreads,
      'Worker',
      (Real) =>
        class extends Real {
          constructor(...given: ConstructorParameters<typeof Real>) {
            super(...given)
            threads++
          }
        },
    )
    const loaded = await Promise.all(Array.from({ length: 100 }, () => loadParcelWatcher('auto')))
    expect([threads, new Set(loaded.map(({ why }) => why)).size]).toEqual([1, 1])
    await loadParcelWatcher('auto')
    expect(threads).toBe(2)
  })

  it('tells what happens below a folder', async () => {
    const loaded = await loadParcelWatcher('auto')
    if (loaded.why !== undefined) throw new Error(loaded.why)
    const logs = piLogs(join(folder.path, 'told'))
    const told: FolderEvent[] = []
    const subscription = await loaded.watcher.subscribe(logs.root, (_, events) => told.push(...events), { backend: loaded.backend, ignore: [] })
    logs.add('a')
    for (let n = 0; n < 200 && told.length === 0; n++) await wait(20)
    await subscription.unsubscribe()
    expect(told.map(({ path }) => path)).toContain(logs.pathOf('a'))
  })

  it.skipIf(!LIMITED || !BUILT)('is not asked where no inotify instance is left: it would wait without end', () => {
    const script = `const { loadParcelWatcher } = await import('./dist/storage/watch/parcel.js'); console.log((await loadParcelWatcher('auto')).why)`
    expect(withLimit('instances=0', script)).toBe('the limit of inotify instances is reached (EMFILE)')
  })

  it.skipIf(!LIMITED || !BUILT)('polls with one issue where there are too few watches, at once or for folders that come later', () => {
    const script = `
      const { openSessions, watchSessions } = await import('spanleaf')
      const { mkdirSync, writeFileSync } = await import('node:fs')
      const root = ${JSON.stringify(join(folder.path, 'limited'))} + process.pid
      const add = (project, id) => {
        mkdirSync(root + '/' + project, { recursive: true })
        writeFileSync(root + '/' + project + '/2026-03-01T10-00-00-000Z_' + id + '.jsonl', JSON.stringify({ type: 'session', version: 3, id, timestamp: '2026-03-01T10:00:00.000Z', cwd: '/w' }) + '\\n')
      }
      for (let n = 0; n < FOLDERS; n++) add('--w' + n + '--', 's' + n)
      const sessions = await openSessions({ data: root })
      const watch = watchSessions(sessions, { onIssue: ({ code, reason }) => console.log(code, reason.replace(root, '').replace(/\\d+/g, 'N')) })
      setTimeout(() => { for (let n = 0; n < 30; n++) add('--new' + n + '--', 'new' + n) }, 1500)
      setTimeout(() => add('--new29--', 'last'), 3500)
      const told = new Set()
      for await (const { kind, session } of watch) {
        told.add(kind + session.session)
        if (told.size === 31) break
      }
      console.log(told.has('addedlast'))
      await sessions.close()`
    expect(withLimit('watches=20', script.replace('FOLDERS', '30'))).toBe(
      "WATCH_LOST inotify_add_watch on '/--wN--' failed: No space left on device\ntrue",
    )
    // On a busy machine the folders may come before the subscription; then it is the one that is refused.
    const late = withLimit('watches=20', script.replace('FOLDERS', '3'))
    expect(late).toMatch(
      /^WATCH_LOST (the limit of inotify watches is reached \(ENOSPC\)|inotify_add_watch on .* failed: No space left on device)\ntrue$/,
    )
  })
})
