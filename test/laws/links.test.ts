/** Every link of the documents leads somewhere: to a file of the repository, and to a heading in it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REPOSITORY } from '../support/real-sets.js'

const DOCUMENTS = ['README.md', 'CHANGELOG.md', 'bench/README.md', ...readdirSync(join(REPOSITORY, 'docs')).flatMap(markdownIn)]

function markdownIn(name: string): string[] {
  return name.endsWith('.md') ? [join('docs', name)] : []
}

function deadLinks(document: string, text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => String(link))
  return links.filter((link) => !link.startsWith('https://') && !leadsSomewhere(document, text, link))
}

function leadsSomewhere(document: string, text: string, link: string): boolean {
  const [file = '', anchor] = link.split('#')
  const path = join(REPOSITORY, dirname(document), file)
  if (file !== '' && !existsSync(path)) return false
  return anchor === undefined || anchorsIn(file === '' ? text : readFileSync(path, 'utf8')).includes(anchor)
}

/** As GitHub names them. */
function anchorsIn(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => String(heading).toLowerCase())
  return headings.map((heading) => heading.replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-'))
}

/** One star, within one folder. */
function matchesGlob(path: string, glob: string): boolean {
  const [start = '', end] = glob.split('*')
  return end !== undefined && path.startsWith(start) && path.endsWith(end) && !path.slice(start.length).includes('/')
}

describe('links', () => {
  it.each(DOCUMENTS)('of %s lead somewhere', (document) => {
    expect(deadLinks(document, readFileSync(join(REPOSITORY, document), 'utf8'))).toEqual([])
  })

  it('of README.md lead to what is in the package', () => {
    const files: readonly string[] = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')).files
    const links = [...readFileSync(join(REPOSITORY, 'README.md'), 'utf8').matchAll(/\]\(([^)\s#]+)/g)].map(([, link]) => String(link))
    const isIn = (link: string): boolean => files.some((file) => link === file || link.startsWith(`${file}/`) || matchesGlob(link, file))
    expect(links.filter((link) => !link.startsWith('https://') && !isIn(link))).toEqual([])
  })

  it('that lead nowhere are seen', () => {
    const text = '# A heading\n[a](#a-heading) [b](#none) [c](../README.md#two-commands) [d](../README.md#none) [e](none.md) [f](https://example.org)'
    expect(deadLinks('docs/x.md', text)).toEqual(['#none', '../README.md#none', 'none.md'])
  })
})
