/** What Codex itself writes into a conversation in the user's name: surroundings, instructions, marks, results. Nobody typed it. */
const OPENINGS = [
  '<environment_context>',
  '<user_instructions>',
  '<INSTRUCTIONS>',
  '# AGENTS.md instructions for ',
  '<turn_aborted>',
  '<permissions instructions>',
  '<collaboration_mode>',
  '<skill>',
  '<subagent_notification>',
  '<model_switch>',
  '<user_shell_command>',
  '<user_action>',
  '<hook_prompt',
  '<goal_context>',
  '<codex_internal_context',
  '<personality_spec>',
  '<plugins>',
  '<subagents>',
]

/** By the beginning of a text; 48 characters are enough, if it does not begin with many blanks. */
export function isToldByAgent(text: string): boolean {
  const start = text.slice(0, 64).trimStart()
  return OPENINGS.some((opening) => start.startsWith(opening)) || isImageMark(start)
}

/** What stands before and behind an image that was sent as a file: `<image name=[Image #1]>`, `</image>`. */
export function isImageMark(text: string): boolean {
  return /^\s*<\/?image( name=|>)/.test(text)
}

/** Editors put what they know before the prompt. */
const REQUEST = '## My request for Codex:'

/** What was typed of a text that an editor sent; the text where no editor added to it. */
export function requestIn(text: string): string {
  const at = text.indexOf(REQUEST)
  return at < 0 ? text : text.slice(at + REQUEST.length)
}
