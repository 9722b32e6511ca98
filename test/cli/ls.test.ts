/** `ls`: sorted, narrowed, searched and page by page. */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { DEMO, jsonLines, REPOSITORY, runCli } from '../support/cli.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture } from '../support/store-fixtures.js'

const data = ['--data', DEMO]
/** What a wrong cursor is told. */
const AFTER = 'spanleaf: --after takes what a list with --limit ended with, of the same order and the same choice of sessions\n'
const START = Date.parse('2026-03-01T10:00:00Z')

type Line = {
  readonly session: string
  readonly title: string
  readonly updated: number
  readonly created: number
  readonly directory: string
  readonly next: string | null
}

function listed(...args: readonly string[]): readonly Line[] {
  const result = runCli(['ls', '--json', ...data, ...args])
  expect(result.stderr).toBe('')
  return jsonLines(result) as unknown as readonly Line[]
}

describe('ls', () => {
  it('sorts by update, creation or name', () => {
    const updated = listed().map((line) => line.updated)
    expect(updated).toEqual([...updated].sort((a, b) => b - a))
    const created = listed('--sort', 'created').map((line) => line.created)
    expect(created).toEqual([...created].sort((a, b) => b - a))
    const names = listed('--sort', 'name').map(({ title }) => title.toLowerCase())
    expect(names).toEqual([...names].sort())
    expect(names.length).toBe(updated.length)
    expect(runCli(['ls', '--sort', 'size', ...data]).status).toBe(2)
  })

  it('searches titles by words', () => {
    expect(listed('--search', 'RETRY flak').map(({ title }) => title)).toEqual(['Flaky retry test: backoff without jitter'])
    expect(listed('--search', '"flaky" AND')).toEqual([])
    expect(runCli(['ls', '--search', 'nowhere', ...data]).stdout).toBe('No sessions.\n')
  })

  it('narrows by exactly a folder, by one and what is below it, and by project', () => {
    using fixture = jsonFixture(
      ['/srv/sky', '/srv/sky/deep', '/srv/skyline'].map((directory, at) =>
        corpusSession(START + at, conversation(START + at, 1), { id: `ses_${at}`, info: { directory, title: directory, version: '1' } }),
      ),
    )
    const titles = (...args: readonly string[]): readonly unknown[] =>
      jsonLines(runCli(['ls', '--json', '--sort', 'name', '--data', fixture.path, ...args])).map(({ title }) => title)
    expect(titles('--cwd', '/srv/sky')).toEqual(['/srv/sky'])
    expect(titles('--cwd', '/srv/sky/')).toEqual(['/srv/sky', '/srv/sky/deep'])
    expect(titles('--project', '/srv/sky')).toEqual(['/srv/sky', '/srv/sky/deep'])
    expect(titles('--project', '/srv/sky', '--cwd', '/srv/skyline')).toEqual([])
    expect(titles('--cwd', '/srv')).toEqual([])
    expect(titles('--tag', 'none')).toEqual([])
  })

  it.each([[['--sort', 'name']], [['--all', '--project', '/home/dev/projects']]])('goes on page by page: %j', (args) => {
    const whole = listed(...args).map(({ session }) => session)
    const pages: string[][] = []
    for (let next: string | null | undefined = ''; next !== undefined && next !== null; ) {
      const page: readonly Line[] = listed(...args, '--limit', '9', ...(next === '' ? [] : ['--after', next]))
      pages.push(page.map(({ session }) => session))
      expect(page.slice(0, -1).every((line) => line.next === null)).toBe(true)
      next = page.at(-1)?.next
    }
    expect(pages.flat()).toEqual(whole)
    expect(pages).toHaveLength(Math.ceil(whole.length / 9))
  })

  it('tells at the end that there is more, and where it goes on', () => {
    const { stdout } = runCli(['ls', '--limit', '2', ...data])
    const [head, , , more] = stdout.split('\n')
    expect(head).toMatch(/^UPDATED +MESSAGES {2}SESSION +TITLE · FOLDER$/)
    const [, cursor = ''] = /^There are more: --after (\S+)$/.exec(more ?? '') ?? []
    expect(runCli(['ls', '--limit', '1', '--after', cursor, ...data]).stdout.split('\n')[1]).toContain(listed()[2]?.session)
    expect(runCli(['ls', ...data]).stdout).not.toContain('--after')
    const wrong = runCli(['ls', '--after', cursor, '--sort', 'name', ...data])
    expect([wrong.status, wrong.stdout]).toEqual([2, ''])
    expect(wrong.stderr).toBe(AFTER)
  })

  it('takes no cursor that it did not give', () => {
    for (const cursor of ['garbage', '', 'WzFd']) expect(runCli(['ls', '--after', cursor, ...data])).toEqual({ status: 2, stdout: '', stderr: AFTER })
  })

  it('takes a store that cannot be read for no empty one', () => {
    const nowhere = ['--data', '/nonexistent/data']
    const none = runCli(['ls', '--search', 'nowhere', ...data, ...nowhere])
    expect([none.status, none.stdout]).toEqual([3, 'No sessions in what can be read.\n'])
    expect(runCli(['ls', '--search', 'nowhere', '--json', ...data, ...nowhere])).toMatchObject({ status: 3, stdout: '' })
    expect(runCli(['ls', '--limit', '1', ...data, ...nowhere]).status).toBe(0)
  })

  it('shows the time that it sorts by', () => {
    const { stdout } = runCli(['ls', '--sort', 'created', '--limit', '1', ...data])
    const [newest] = listed('--sort', 'created')
    expect(stdout).toMatch(/^CREATED +MESSAGES/)
    expect(stdout.split('\n')[1]?.slice(0, 16)).toBe(new Date(newest?.created ?? 0).toISOString().slice(0, 16).replace('T', ' '))
  })

  it('gives lines of its schema', () => {
    const validate = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/ls.schema.json`, 'utf8')))
    for (const line of listed('--limit', '3')) expect(validate(line), JSON.stringify(validate.errors)).toBe(true)
  })
})
