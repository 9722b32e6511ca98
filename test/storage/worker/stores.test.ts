/** The contract of stores, held by stores in a worker thread. */
import { describeStore } from '../../contracts/store.js'
import { eraAFixture, jsonFixture, sqliteFixture } from '../../support/store-fixtures.js'
import { V1_SUBJECT } from '../../support/store-world.js'
import { V2_SUBJECT, v2Fixture } from '../../support/v2-fixture.js'
import { inWorker } from '../../support/worker-stores.js'

describeStore('OpenCode JSON, in a worker', inWorker('opencode-json', jsonFixture))
describeStore('OpenCode era A, in a worker', inWorker('opencode-era-a', eraAFixture()), { ...V1_SUBJECT, documents: false })
describeStore('OpenCode SQLite 1.18, in a worker', inWorker('opencode-sqlite', sqliteFixture('1.18')))
describeStore('OpenCode 2, in a worker', inWorker('opencode-v2', v2Fixture), V2_SUBJECT)
