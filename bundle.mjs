/**
 * What the package's users load: some fifty files in place of four hundred, whose loading alone took most of the time of a short
 * command. All are in one folder, since the worker's thread is found beside the code that starts it. Other packages stay outside.
 */
import { build } from 'rolldown'

/** What several entries need is in two files: to load one file more takes as long as to compile 15 KB. */
const SHARED = [
  { name: 'storage', test: /[\\/]dist[\\/](core|storage(?![\\/]worker))[\\/]/ },
  { name: 'tree', test: /[\\/]dist[\\/](tree[\\/]|index\.js|open\.js)/ },
]

await build({
  input: {
    index: 'dist/index.js',
    indexer: 'dist/indexer/index.js',
    spanleaf: 'dist/cli/main.js',
    'worker-main': 'dist/storage/worker/worker-main.js',
  },
  external: /^[^./]/,
  platform: 'node',
  output: {
    dir: 'dist/bundle',
    chunkFileNames: '[name]-[hash].js',
    cleanDir: true,
    codeSplitting: { minShareCount: 2, groups: SHARED },
    // The declarations have them.
    comments: false,
  },
})
