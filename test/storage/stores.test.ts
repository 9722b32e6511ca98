/** The contract of stores, held by all of them. */
import { describeStore } from '../contracts/store.js'
import { eraAFixture, jsonFixture, memoryFixture, sqliteFixture } from '../support/store-fixtures.js'

describeStore('memory', memoryFixture)
describeStore('OpenCode JSON', jsonFixture)
describeStore('OpenCode era A', eraAFixture(), { documents: false })
describeStore('OpenCode era A, parts split off unconverted messages', eraAFixture({ parts: 'below their message' }), { documents: false })
describeStore('OpenCode SQLite 1.2.1', sqliteFixture('1.2.1'))
describeStore('OpenCode SQLite 1.18', sqliteFixture('1.18'))
describeStore('OpenCode SQLite upgraded to 1.18', sqliteFixture('upgraded'))
