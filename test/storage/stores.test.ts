/** The contract of stores, held by all of them. */
import { describeStore } from '../contracts/store.js'
import { eraAFixture, jsonFixture, memoryFixture, sqliteFixture } from '../support/store-fixtures.js'
import { V1_SUBJECT } from '../support/store-world.js'
import { V2_SUBJECT, v2Fixture } from '../support/v2-fixture.js'

describeStore('memory', memoryFixture)
describeStore('OpenCode JSON', jsonFixture)
describeStore('OpenCode era A', eraAFixture(), { ...V1_SUBJECT, documents: false })
describeStore('OpenCode era A, parts split off unconverted messages', eraAFixture({ parts: 'below their message' }), {
  ...V1_SUBJECT,
  documents: false,
})
describeStore('OpenCode SQLite 1.2.1', sqliteFixture('1.2.1'))
describeStore('OpenCode SQLite 1.18', sqliteFixture('1.18'))
describeStore('OpenCode SQLite upgraded to 1.18', sqliteFixture('upgraded'))
describeStore('OpenCode 2', v2Fixture, V2_SUBJECT)
