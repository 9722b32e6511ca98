/** What the command line loads before it knows what is wanted of it, and what it says of its commands. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ABOUT } from '../../src/cli/about.js'
import { jsonLines, REPOSITORY, runCli } from '../support/cli.js'

/** The files that a file of the command line imports before it runs, and theirs. */
function loadedWith(name: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(name)) return seen
  seen.add(name)
  const text = readFileSync(`${REPOSITORY}src/cli/${name}`, 'utf8')
  for (const [, from = ''] of text.matchAll(/^(?:import|export) (?!type )[^'"]*?from '([^']+)'/gm)) {
    const own = /^\.\/(.+)\.js$/.exec(from)?.[1]
    if (own !== undefined) loadedWith(`${own}.ts`, seen)
    else seen.add(from)
  }
  return seen
}

describe('the start', () => {
  it('loads nothing but the words of the help, and no command the index of search that does not use it', () => {
    const outside = (name: string) => [...loadedWith(name)].filter((one) => !one.startsWith('node:'))
    expect(outside('main.ts').sort()).toEqual(['about.ts', 'main.ts', 'output.ts'])
    for (const name of ['ls', 'show', 'tail', 'grep', 'watch-sessions', 'stores', 'verify', 'plan', 'spans', 'reindex']) {
      expect(outside(`${name}.ts`), name).not.toContain('../indexer/index.js')
    }
    expect(outside('search.ts')).toContain('../indexer/index.js')
  })

  it('names every command in the help, in order, as each names itself', () => {
    const { stdout, status } = runCli(['--help'])
    const names = [...stdout.matchAll(/^ {2}(\w+) {2,}\w/gm)].map(([, name]) => name)
    expect([status, names.filter((name) => name !== 'help')]).toEqual([0, Object.keys(ABOUT)])
    for (const name of ['ls', 'forget'] as const) {
      const said = runCli([name, '--help']).stdout.replaceAll(/\s+/g, ' ')
      expect(said).toContain(ABOUT[name])
      expect(runCli(['help', name]).stdout.replaceAll(/\s+/g, ' ')).toBe(said)
    }
  })

  it('tells its version, and what it does not know', () => {
    const { version } = JSON.parse(readFileSync(`${REPOSITORY}package.json`, 'utf8')) as { version: string }
    expect(runCli(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
    expect(runCli(['lss'])).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining('Did you mean ls?') })
    expect(runCli(['--nope']).status).toBe(2)
    expect(runCli(['help', 'help'])).toEqual(runCli(['--help']))
    expect(runCli(['--help', 'ls'])).toEqual(runCli(['--help']))
    expect(jsonLines(runCli(['ls', '--json', '--data', `${REPOSITORY}examples/demo-store/opencode`])).length).toBeGreaterThan(3)
  })

  it('repeats what it does not know without what a terminal would obey', () => {
    const hostile = '\u001b[31mfoo\u009b0m\u202e\u200f\u2028bar\nspanleaf: fake'
    const shown = "'[31mfoo0m bar spanleaf: fake'"
    expect(runCli([hostile])).toEqual({ status: 2, stdout: '', stderr: `error: unknown command ${shown}\n(see --help)\n` })
    expect(runCli(['help', hostile])).toMatchObject({ status: 2, stderr: `error: unknown command ${shown}\n(see --help)\n` })
    expect(runCli([`--${hostile}`])).toMatchObject({ status: 2, stderr: expect.stringContaining("unknown option '--[31mfoo0m bar spanleaf: fake'") })
    for (const args of [
      ['ls', `--${hostile}`],
      ['ls', '--limit', hostile],
      ['ls', '--sort', hostile],
      ['show', 'a', hostile],
    ]) {
      const { status, stdout, stderr } = runCli(args)
      expect([status, stdout, stderr.match(/[^ -~\n]/g)], args.join(' ')).toEqual([2, '', null])
      expect(stderr.split('\n')).toHaveLength(3)
    }
  })
})
