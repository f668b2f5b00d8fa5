/** The form in which telephone numbers are compared: E.164 where what is written is surely one, whatever its spelling. */

const E164 = /^\+[1-9]\d{1,14}$/;

// The 0 before an area code, which is not dialled from abroad. In Italy, San Marino, Côte d'Ivoire, Gabon and Congo it is.
const TRUNK_PREFIX = /^(\(?(?:\+|00)\s*\(?(?!39|378|225|241|242)\d{1,3}\)?[\s.-]*)\(\s*0\s*\)/;

// RFC 3966 §5.1.5: without its context such a number is anybody's, and one that begins with 00 would become global.
const LOCAL = /;\s*phone-?context=/i;

/**
 * Parameters (RFC 3966 §3) say what is behind a line, and the line is what E.164 names. Beside them nothing is left out
 * that is no separator: with an extension in words, or a second number, it is the form of no E.164 number, since the
 * digits together would be somebody else's.
 */
export function canonicalPhoneNumber(value: string): string {
  if (E164.test(value)) return value;
  const plain = value.replace(/[\s().-]/g, '').replace(/^(?:tel:)+/i, '');
  return e164(value) ?? e164(plain) ?? plain;
}

function e164(value: string): string | undefined {
  if (LOCAL.test(value)) return undefined;
  const [written = ''] = value.split(';');
  const number = written
    .replace(/\p{Cf}/gu, '')
    .replace(/[\p{Pd}\u2212]/gu, '-')
    .trim()
    .replace(/^(?:tel:\s*)+/i, '')
    .replace(TRUNK_PREFIX, '$1');
  if (hasTwoEndings(number)) return undefined;
  const dialled = number.replace(/[\s()./-]/g, '').replace(/^00(?=[1-9]\d{6,14}$)/, '+');
  return E164.test(dialled) ? dialled : undefined;
}

/** `+49 30 12345/46` is two numbers; `+49 30/12345` is one, whose area code is shorter than what follows. */
function hasTwoEndings(number: string): boolean {
  const [, before = '', after = ''] = /^[^/]*?(\d+)[\s).-]*\/([^/]*)$/.exec(number) ?? [];
  return before !== '' && after.replace(/\D/g, '').length <= before.length;
}
