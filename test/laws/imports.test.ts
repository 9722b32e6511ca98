/** The laws that every source file obeys: who may import whom, and what may stand in a file. Each check is shown to bite. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REPOSITORY } from '../support/real-sets.js'
import { codeOf, type Import, importsOf, type SourceFile, sourceFiles } from '../support/source.js'

const FILES = sourceFiles(join(REPOSITORY, 'src'))

const PACKAGE = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** What each room may import beside itself. The rooms on top stand upon the public entry points alone. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  storage: ['core/'],
  tree: ['core/', 'storage/'],
  indexer: ['core/', 'tree/'],
  cli: ['index.ts', 'indexer/index.ts'],
  mcp: ['index.ts', 'indexer/index.ts'],
  'open.ts': ['core/', 'storage/', 'tree/'],
  'index.ts': ['core/', 'storage/', 'tree/', 'open.ts'],
}

/** The embedded sink keeps its documents in SQLite, and there is one file that knows SQLite. */
const LOCAL_SINK = /^indexer\/sinks\/local[\w-]*\.ts$/

/** Packages that are native, that talk to a network, or that not everybody has: one file each knows them. */
const KEPT = ['lmdb', 'better-sqlite3', 'node:sqlite', 'chromadb', 'ollama', 'mmap-io', '@parcel/watcher', 'simdjson']

function roomOf(path: string): string {
  return path.split('/')[0] ?? ''
}

function wrongArrows(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => importsOf(file).flatMap(({ target }) => (isAllowed(file.path, target) ? [] : [`${file.path} -> ${target}`])))
}

function isAllowed(from: string, target: string): boolean {
  const room = roomOf(from)
  if (!target.endsWith('.ts')) return room !== 'core'
  if (roomOf(target) === room) return true
  if (target === 'storage/sqlite/driver.ts' && LOCAL_SINK.test(from)) return true
  return MAY_IMPORT[room]?.some((allowed) => target === allowed || (allowed.endsWith('/') && target.startsWith(allowed))) ?? false
}

/** Types vanish when the files are compiled, so a circle that types close is none. */
function cycles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.map((file) => [
      file.path,
      importsOf(file)
        .filter((one: Import) => !one.typeOnly)
        .map(({ target }) => target),
    ]),
  )
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, above: readonly string[]): void => {
    if (above.includes(path)) found.push([...above.slice(above.indexOf(path)), path].join(' -> '))
    if (done.has(path) || above.includes(path)) return
    for (const next of edges.get(path) ?? []) visit(next, [...above, path])
    done.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  return found
}

function sharedPackages(files: readonly SourceFile[]): string[] {
  return KEPT.flatMap((name) => {
    const importers = files
      .filter((file) => importsOf(file).some(({ target }) => target === name || target.startsWith(`${name}/`)))
      .map(({ path }) => path)
    return importers.length > 1 ? [`${name}: ${importers.join(', ')}`] : []
  })
}

/** What must not stand in the code of a file, by name; comments and strings do not count. */
const FORBIDDEN: Readonly<Record<string, RegExp>> = {
  'default export': /\bexport\s+default\b|\bas\s+default\b/,
  'export *': /\bexport\s*(type\s*)?\*/,
  any: /[:<|&,]\s*any\b(?!\s*[:=(])|\bas\s+any\b|\bany\[\]/,
  'non-null !': /[\w)\]]!(?!=)/,
  enum: /\b(const\s+)?enum\s+[A-Z]/,
  // It waits for a transaction of the index that waits for the thread that it stops.
  'process.exit': /\bprocess\.(exit|reallyExit)\b|\bimport\b.*\bexit\b/,
  'ts-ignore': /@ts-(ignore|nocheck|expect-error)/,
}

function forbiddenIn(files: readonly SourceFile[], name: string): string[] {
  const pattern = FORBIDDEN[name] ?? /(?!)/
  return files.filter(({ text }) => pattern.test(name === 'ts-ignore' ? text : codeOf(text))).map(({ path }) => path)
}

const AMBIENT = /\bprocess\.env\b|\bhomedir\b|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandomUUID\b/
const MAY_BE_AMBIENT = /^(open|storage\/paths|core\/clock)\.ts$|^cli\//

function ambientIn(files: readonly SourceFile[]): string[] {
  return files.filter(({ path, text }) => !MAY_BE_AMBIENT.test(path) && AMBIENT.test(codeOf(text))).map(({ path }) => path)
}

function tooLong(files: readonly SourceFile[]): string[] {
  return files.filter(({ text }) => text.split('\n').length - 1 > 300).map(({ path }) => path)
}

function withoutPurpose(files: readonly SourceFile[]): string[] {
  return files.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text)).map(({ path }) => path)
}

const file = (path: string, text: string): SourceFile => ({ path, text })

describe('imports', () => {
  it('are seen, all of them', () => {
    expect(FILES.length).toBeGreaterThan(40)
    const text = `import 'a'
import type { T } from 'b' // import 'comment'
import d, { type X,
  y } from '../storage/c.js'
export { z } from './e.js'
export * from 'f'
const g = await import('g'); const h = require("h"); process.getBuiltinModule('node:i')
/* import 'block' */ const s = "import 'string'" + \`from 'template'\``
    expect(importsOf(file('tree/x.ts', text)).map(({ target, typeOnly }) => (typeOnly ? `type ${target}` : target))).toEqual([
      'a',
      'type b',
      'storage/c.ts',
      'tree/e.ts',
      'f',
      'g',
      'h',
      'node:i',
    ])
  })

  it('go core <- storage <- tree <- indexer, with cli and mcp on the public entry points', () => {
    expect(wrongArrows(FILES)).toEqual([])
  })

  it.each([
    ['core/a.ts', '../storage/b.js'],
    ['core/a.ts', 'node:fs'],
    ['storage/a.ts', '../tree/b.js'],
    ['tree/a.ts', '../indexer/b.js'],
    ['tree/a.ts', '../open.js'],
    ['indexer/a.ts', '../storage/span.js'],
    ['indexer/a.ts', '../cli/main.js'],
    ['indexer/sinks/chroma.ts', '../../storage/sqlite/driver.js'],
    ['cli/a.ts', '../tree/b.js'],
    ['cli/a.ts', '../indexer/state.js'],
    ['index.ts', './indexer/index.js'],
    ['elsewhere/a.ts', '../core/ids.js'],
  ])('may not go from %s to %s', (path, specifier) => {
    expect(wrongArrows([file(path, `import { x } from '${specifier}'`)]).length).toBe(1)
    expect(wrongArrows([file(path, `import type { x } from '${specifier}'`)]).length).toBe(1)
  })

  it('run in no circle', () => {
    expect(cycles(FILES)).toEqual([])
    const circle = [file('core/a.ts', "import './b.js'"), file('core/b.ts', "import './c.js'"), file('core/c.ts', "export { x } from './a.js'")]
    expect(cycles(circle)).toEqual(['core/a.ts -> core/b.ts -> core/c.ts -> core/a.ts'])
    expect(cycles([file('core/a.ts', "import type { B } from './b.js'"), file('core/b.ts', "import './a.js'")])).toEqual([])
  })

  it('reach what exists', () => {
    const paths = new Set(FILES.map(({ path }) => path))
    expect(FILES.flatMap((one) => importsOf(one).filter(({ target }) => target.endsWith('.ts') && !paths.has(target)))).toEqual([])
  })

  it.each(KEPT)('of %s stand in one file', (name) => {
    expect(sharedPackages(FILES).filter((found) => found.startsWith(`${name}:`))).toEqual([])
    expect(sharedPackages([file('a.ts', `await import('${name}')`), file('b.ts', `import type { X } from '${name}/sub'`)])).toEqual([
      `${name}: a.ts, b.ts`,
    ])
  })
})

/** Packages that files load, also by a `require` of their own, and that package.json does not name. */
function unnamedPackages(files: readonly SourceFile[]): string[] {
  const named = new Set(Object.keys({ ...PACKAGE.dependencies, ...PACKAGE.peerDependencies }))
  const loaded = files.flatMap(({ text }) => [...text.matchAll(/createRequire\([^)]*\)\('([^']+)'\)/g)].map(([, name]) => String(name)))
  const imported = files.flatMap((one) => importsOf(one).map(({ target }) => target)).filter((target) => !/^node:|\.ts$/.test(target))
  return [...new Set([...loaded, ...imported])].filter((name) => !named.has(name.replace(/\/package\.json$/, '')))
}

describe('packages', () => {
  it('that are loaded are named in package.json, those that may be missing as optional peers', () => {
    expect(unnamedPackages(FILES)).toEqual([])
    expect(unnamedPackages([file('a.ts', "import 'absent'; createRequire(import.meta.url)('lost'); import 'node:fs'; import './b.js'")])).toEqual([
      'lost',
      'absent',
    ])
    expect(Object.keys(PACKAGE.peerDependenciesMeta ?? {})).toEqual(Object.keys(PACKAGE.peerDependencies ?? {}))
  })
})

describe('a source file', () => {
  it.each([
    ['default export', 'export default class {}', 'export { default as x }; // export default'],
    ['default export', 'export { x as default }', "const s = 'export default'"],
    ['export *', "export * from './x.js'", 'const a = 2 * 3 // export *'],
    ['any', 'function f(x: any) {}', 'const any = 1; f(any); // any'],
    ['any', 'const x = y as any', "const s = ': any'; x.any()"],
    ['any', 'let x: Map<string, any>', 'let company: Company'],
    ['any', 'let x: any[]', 'interface X { any: string }'],
    ['non-null !', 'x!.y', 'if (!x) y = a !== b || !c'],
    ['non-null !', 'f(x)![0]', 'const s = "wow!."'],
    ['non-null !', 'const a = b[0]!', 'const r = /x!/; a != b'],
    ['enum', 'enum Color { Red }', '// enum Color'],
    ['process.exit', 'process.exit(1)', 'process.exitCode = 1 // process.exit(1)'],
    ['ts-ignore', '// @ts-ignore', 'const ignore = 1'],
  ])('holds no %s: %s', (name, bad, good) => {
    expect(forbiddenIn(FILES, name)).toEqual([])
    expect(forbiddenIn([file('bad.ts', bad)], name)).toEqual(['bad.ts'])
    expect(forbiddenIn([file('good.ts', good)], name)).toEqual([])
  })

  it('reads the environment, the home, the clock and chance only where it may (law 9)', () => {
    expect(ambientIn(FILES)).toEqual([])
    for (const bad of ['process.env.HOME', "import { homedir } from 'node:os'", 'Date.now()', 'new Date()', 'Math.random()', 'crypto.randomUUID()']) {
      expect(ambientIn([file('tree/a.ts', bad), file('open.ts', bad), file('storage/paths.ts', bad), file('cli/ls.ts', bad)])).toEqual(['tree/a.ts'])
    }
    expect(ambientIn([file('tree/a.ts', "// Date.now()\nconst s = 'process.env'; new Date(5)")])).toEqual([])
  })

  it('has at most 300 lines, and opens with its purpose', () => {
    expect(tooLong(FILES)).toEqual([])
    expect(tooLong([file('a.ts', 'x\n'.repeat(301)), file('b.ts', 'x\n'.repeat(300))])).toEqual(['a.ts'])
    expect(withoutPurpose(FILES)).toEqual([])
    expect(withoutPurpose([file('a.ts', 'const x = 1'), file('b.ts', '#!/usr/bin/env node\n/** b */')])).toEqual(['a.ts'])
  })
})
