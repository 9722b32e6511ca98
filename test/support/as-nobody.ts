/** Runs a script against the compiled library as a user without rights: root may read everything, so the tests' own process cannot tell. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './real-sets.js'
import { started } from './started.js'

const NOBODY = 65534

/** Copies what the child needs to where it may read it: the checkout may stand in a folder that is closed to others. */
export function libraryForOthers(folder: string): string {
  const place = join(folder, 'library')
  mkdirSync(place)
  cpSync(join(REPOSITORY, 'dist'), join(place, 'dist'), { recursive: true })
  writeFileSync(join(place, 'package.json'), '{"type":"module"}')
  for (const name of [
    'better-sqlite3/package.json',
    'better-sqlite3/lib',
    'better-sqlite3/build/Release/better_sqlite3.node',
    'bindings',
    'file-uri-to-path',
  ]) {
    cpSync(join(REPOSITORY, 'node_modules', name), join(place, 'node_modules', name), { recursive: true })
  }
  return place
}

/** Runs `body` with the library's exports as `lib` and `data`; gives what it returns. It may await. */
export function runAsNobody(library: string, data: string, body: string): unknown {
  const script = `
    import * as lib from ${JSON.stringify(join(library, 'dist', 'index.js'))}
    const data = ${JSON.stringify(data)}
    const act = async () => { ${body} }
    const said = await act().catch((error) => ({ name: error.name, code: error.code, path: error.path, message: error.message }))
    process.stdout.write(JSON.stringify(said ?? null))`
  const isRoot = process.getuid?.() === 0
  const child = started(() => {
    const ended = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, TMPDIR: '/tmp' },
      ...(isRoot && { uid: NOBODY, gid: NOBODY }),
      cwd: library,
    })
    if (ended.error !== undefined) throw ended.error
    return ended
  })
  if (child.status !== 0) throw new Error(child.stderr || `the child ended with ${child.status} ${child.signal}`)
  return JSON.parse(child.stdout)
}
