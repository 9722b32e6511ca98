/** The contract of stores of logs with files that are really mapped, by mmap-io where it is installed and loads. */
import { describe } from 'vitest'
import { loadMapper } from '../../src/storage/maps/mmap.js'
import { describeLogStore } from '../contracts/log-store.js'
import { DIALECTS } from '../support/log-dialects.js'

const { why } = loadMapper()

describe.skipIf(why !== undefined)(`logs that are mapped${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  for (const dialect of DIALECTS) for (const map of ['auto', 1] as const) describeLogStore(dialect, { map, load: loadMapper })
})
