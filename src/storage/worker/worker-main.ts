/** The worker thread: hosts the stores that it was started with. Elsewhere this file does nothing. */
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../core/clock.js'
import { isDocument } from '../../core/documents.js'
import { serveStores } from './host.js'
import { type PlainStores, unmappedStores } from './plain-stores.js'
import type { WorkerStart } from './protocol.js'

const start: unknown = workerData
if (parentPort !== null && isDocument(start) && start.spanleaf === ('stores' satisfies WorkerStart['spanleaf'])) {
  serveStores(parentPort, unmappedStores(start.stores as PlainStores, systemClock))
}
