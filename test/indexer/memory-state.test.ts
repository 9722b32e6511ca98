import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import { describeState } from '../contracts/state.js'

describeState('memory', () => {
  const place = memoryStatePlace()
  return { open: async (settings) => memoryState({ place, ...settings }), [Symbol.dispose]: () => undefined }
})
