/** The contract of stores of logs, held by stores in a worker thread; nothing is mapped there. */
import { describeLogStore } from '../../contracts/log-store.js'
import { DIALECTS } from '../../support/log-dialects.js'
import { logWorker } from '../../support/worker-stores.js'

/** One of each kind; all of them, each test with a thread of its own, take minutes. */
const first = DIALECTS.filter(({ kind }, at) => DIALECTS.findIndex((other) => other.kind === kind) === at)

for (const dialect of process.env.SPANLEAF_TEST_WORKERS === undefined ? first : DIALECTS) {
  describeLogStore(dialect, { map: 'never', worker: logWorker }, ', in a worker')
}
