// Opens a local sink from a process of its own as soon as it is told to: node sink-opener.mjs PATH. Prints 'opened', or what went wrong.
import { openLocalSink } from '../../dist/indexer/sinks/local.js'

process.stdout.write('ready\n')
process.stdin.once('data', async () => {
  const path = process.argv[2]
  try {
    const sink = await openLocalSink({ path, space: 'hash/1/8' })
    process.stdout.write(`opened ${await sink.count()}\n`)
    await sink[Symbol.asyncDispose]()
  } catch (error) {
    process.stdout.write(`${error.message}\n`)
  }
  process.stdin.destroy()
})
