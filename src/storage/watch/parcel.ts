/**
 * @parcel/watcher, the optional peer that tells of changes in folders. It is loaded with the first watch, and here alone.
 *
 * What it cannot do it must not be asked for: it ends the process when it is given Watchman where none runs, or a subscription by brute
 * force, and waits without end where the system has no inotify instance left. So all that is made sure of before.
 */
import { execFile } from 'node:child_process'
import { watch } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { messageOf, systemCode } from '../../core/errors.js'
import type { EventBackend, FolderWatcher, LoadedWatcher, TellEvents } from './watch.js'

/** What each system has of its own. */
const NATIVE: Readonly<Record<string, EventBackend>> = { linux: 'inotify', darwin: 'fs-events', win32: 'windows' }

export async function loadParcelWatcher(wanted: 'auto' | EventBackend, platform: string = process.platform): Promise<LoadedWatcher> {
  const native = NATIVE[platform]
  const backend = wanted === 'auto' ? native : wanted
  if (backend === undefined) return { why: `no events of folders are known on ${platform}` }
  if (backend !== native && backend !== 'watchman') return { why: `there is no backend ${backend} on ${platform}` }
  const why = backend === 'watchman' ? await whyNoWatchman() : backend === 'inotify' ? await whyNoInotify() : undefined
  if (why !== undefined) return { why }
  try {
    const module: unknown = await import('@parcel/watcher')
    return isWatcher(module)
      ? { watcher: backend === 'inotify' ? limited(module) : module, backend }
      : { why: '@parcel/watcher does not load: it has no subscribe()' }
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return { why: 'the optional peer @parcel/watcher is not installed' }
    return { why: `@parcel/watcher does not load: ${messageOf(error).split('\n')[0]}` }
  }
}

function isWatcher(module: unknown): module is FolderWatcher {
  return typeof module === 'object' && module !== null && 'subscribe' in module && typeof module.subscribe === 'function'
}

/** Where the limit of watches is reached, folders that are made later go unwatched without a word: each batch with something new asks. */
function limited(native: FolderWatcher): FolderWatcher {
  return {
    subscribe(folder, tell, options) {
      const checked: TellEvents = (error, events) => {
        const why = error === null && events.some(({ type }) => type === 'create') ? whyNoMoreWatches(folder) : undefined
        tell(why === undefined ? error : new Error(why), events)
      }
      return native.subscribe(folder, checked, options)
    },
  }
}

/** Undefined also when the folder is gone: that is another matter. */
function whyNoMoreWatches(folder: string): string | undefined {
  try {
    watch(folder, { persistent: false })
      .on('error', () => undefined)
      .close()
    return undefined
  } catch (error) {
    const code = systemCode(error)
    return code === 'ENOSPC' || code === 'EMFILE' ? `the limit of inotify watches is reached (${code})` : undefined
  }
}

/** Watches that begin together ask once. */
let probing: Promise<string | undefined> | undefined

function whyNoInotify(): Promise<string | undefined> {
  probing ??= probeInotify().finally(() => {
    probing = undefined
  })
  return probing
}

/** In a thread of its own, as that has an inotify instance of its own. */
function probeInotify(): Promise<string | undefined> {
  const script = `const { parentPort } = require('node:worker_threads')
    try { require('node:fs').watch('/', { persistent: false }).close(); parentPort.postMessage('') } catch (error) { parentPort.postMessage(error.code ?? 'unknown') }`
  return new Promise((resolve) => {
    const worker = new Worker(script, { eval: true, execArgv: [], env: {} })
    let why: string | undefined
    worker.on('message', (code: string) => {
      if (code === 'EMFILE' || code === 'ENOSPC') why = `the limit of inotify instances is reached (${code})`
    })
    worker.on('error', () => undefined)
    worker.on('exit', () => resolve(why))
  })
}

/** Milliseconds; Watchman may be starting. */
const WATCHMAN_MS = 5000

function whyNoWatchman(): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile('watchman', ['--no-pretty', 'get-sockname'], { timeout: WATCHMAN_MS }, (error) =>
      resolve(error === null ? undefined : `Watchman does not answer (${systemCode(error) ?? messageOf(error).split('\n')[0]})`),
    )
  })
}
