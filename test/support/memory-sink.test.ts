import { describeSink } from '../contracts/sink.js'
import { memorySink } from './memory-sink.js'

describeSink('memory', async () => memorySink(), { runs: 5 })
