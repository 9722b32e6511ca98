/** Source files as the law tests look at them: without comments, and without what stands in strings. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

export interface SourceFile {
  /** Relative to src, with forward slashes. */
  readonly path: string
  readonly text: string
}

export function sourceFiles(folder: string): readonly SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => ({ path: name.replaceAll('\\', '/'), text: readFileSync(join(folder, name), 'utf8') }))
}

const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[(,=:[!&|?{};]\s*|return\s+|=>\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g

/** The text with comments, strings, templates and regular expressions blanked. */
export function codeOf(text: string): string {
  return text.replace(TOKEN, (token) => token.replace(/[^\n]/g, ' '))
}

export interface Import {
  /** A path relative to src, or the name of a package or built-in module. */
  readonly target: string
  readonly typeOnly: boolean
}

const IMPORT = /\b(?:import|export)(\s+type)?\b(?:[^'"`;()]*?\bfrom)?\s*'(\d+)'/g
const CALL = /\b(?:import|require|getBuiltinModule)\(\s*'(\d+)'\s*\)/g

/** What a file imports: statically, with `import()`, with `require()` or with `getBuiltinModule()`. */
export function importsOf({ path, text }: SourceFile): readonly Import[] {
  const strings: string[] = []
  // every string gets a number, so that nothing inside one looks like code
  const code = text.replace(TOKEN, (token) => (/^['"]/.test(token) ? `'${strings.push(token.slice(1, -1)) - 1}'` : ' '))
  const target = (number = ''): string => {
    const specifier = strings[Number(number)] ?? ''
    return specifier.startsWith('.')
      ? normalize(join(dirname(path), specifier))
          .replaceAll('\\', '/')
          .replace(/\.js$/, '.ts')
      : specifier
  }
  const fixed = [...code.matchAll(IMPORT)].map(([, type, number]) => ({ target: target(number), typeOnly: type !== undefined }))
  return [...fixed, ...[...code.matchAll(CALL)].map(([, number]) => ({ target: target(number), typeOnly: false }))]
}
