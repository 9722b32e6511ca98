/** Where the built file of the worker is. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { StorageError } from '../../core/errors.js'

const MAIN = './worker-main.js'

/**
 * Beside this file. Where this one is TypeScript, as in tests, in `dist`: a worker thread strips no types.
 * @throws StorageError WORKER_LOST
 */
export function workerEntry(self = import.meta.url): URL {
  const entry = new URL(MAIN, self.endsWith('.ts') ? self.replace(/\/src\/(?!.*\/src\/)/, '/dist/') : self)
  if (existsSync(entry)) return entry
  throw new StorageError('WORKER_LOST', {
    reason: 'the built file of the worker thread is not there',
    path: fileURLToPath(entry),
    advice: 'Run `npm run build`, keep the file beside the bundle, or leave `worker` out.',
  })
}
