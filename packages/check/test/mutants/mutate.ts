/**
 * Variants of a file with an algorithm, one mutation each: a statement left out, a condition that
 * always holds or never, a comparison, a number or an argument that is off by one.
 */
import { runInThisContext } from 'node:vm';
import { algorithmFrom, type PinAlgorithm } from '@pinfold/vfio-type1';
import * as ts from 'typescript';

/** One variant. */
export interface Variant {
  /** Names it, whatever comes and goes above it in the file: file, step, statement and change. */
  readonly id: string;
  /** The whole file. */
  readonly text: string;
}

/** A change of some characters. */
interface Change {
  readonly start: number;
  readonly end: number;
  readonly to: string;
  readonly what: string;
}

const OTHER_OPERATORS: Readonly<Record<string, readonly string[]>> = {
  ...{ '<': ['<='], '<=': ['<'], '>': ['>='], '>=': ['>'], '===': ['!=='], '!==': ['==='] },
  ...{ '+': ['-'], '-': ['+'], '&&': ['||'], '||': ['&&'], '||=': ['='], '+=': ['='] },
};
/** Numbers of pages: an argument of this name is passed one less. */
const COUNTS = new Set(['npage', 'nr', 'locked', 'unlocked', 'first', 'pfn', 'iovaPn', 'acct']);

/**
 * Makes all variants of a file.
 *
 * @param name name of the file, for the ids
 * @param text the file
 * @returns the variants, in the order of the file; no two have the same id
 */
export function variantsOf(name: string, text: string): Variant[] {
  const file = ts.createSourceFile(`${name}.ts`, text, ts.ScriptTarget.Latest, true);
  const variants: Variant[] = [];
  const seen = new Map<string, number>();
  for (const method of methodsOf(file)) {
    for (const change of changesOf(method.body, file)) {
      const { start, end, to, what } = change;
      const plain = `${name} ${method.name.getText(file)}: ${what}`;
      const again = (seen.get(plain) ?? 0) + 1;
      seen.set(plain, again);
      const id = again > 1 ? `${plain} (${again})` : plain;
      variants.push({ id, text: text.slice(0, start) + to + text.slice(end) });
    }
  }
  return variants;
}

/**
 * The algorithm of a variant.
 *
 * @param variant the variant
 * @returns the algorithm
 */
export function algorithmOf({ id, text }: Variant): PinAlgorithm {
  const options = { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext };
  const code = ts.transpileModule(withBoundedLoops(text), { compilerOptions: options }).outputText;
  const literal = code.slice(code.indexOf('export default') + 'export default'.length);
  const own: unknown = runInThisContext(`(${literal.trim().replace(/;$/, '')})`);
  return algorithmFrom(own, id);
}

/** Turns of all loops of a step at most: a loop that calls nothing would never end. */
const MAX_TURNS = 100_000;

/** The file with a count of turns in every loop that has a block. */
function withBoundedLoops(text: string): string {
  const file = ts.createSourceFile('variant.ts', text, ts.ScriptTarget.Latest, true);
  const places: { readonly at: number; readonly code: string }[] = [];
  const test = `if (++turns > ${MAX_TURNS}) throw new Error('does not end');`;
  const visit = (node: ts.Node): void => {
    if (ts.isMethodDeclaration(node) && node.body)
      places.push({ at: node.body.getStart(file) + 1, code: 'let turns = 0;' });
    if ((ts.isWhileStatement(node) || ts.isForStatement(node)) && ts.isBlock(node.statement))
      places.push({ at: node.statement.getStart(file) + 1, code: test });
    ts.forEachChild(node, visit);
  };
  visit(file);
  return places
    .sort((one, other) => other.at - one.at)
    .reduce((all, { at, code }) => all.slice(0, at) + code + all.slice(at), text);
}

type Method = ts.MethodDeclaration & { readonly body: ts.Block };

function methodsOf(file: ts.SourceFile): Method[] {
  const methods: Method[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isMethodDeclaration(node) && node.body) methods.push(node as Method);
    else ts.forEachChild(node, visit);
  };
  visit(file);
  return methods;
}

/** All changes below a node. Loops keep their headers: most other ones would never end. */
function changesOf(body: ts.Block, file: ts.SourceFile): Change[] {
  const changes: Change[] = [];
  const change = (node: ts.Node, to: string, how: string): void => {
    const [start, end] = [node.getStart(file), node.getEnd()];
    changes.push({ start, end, to, what: `${how} in ${lineOf(node, file)}` });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIfStatement(node)) {
      change(node.expression, 'false', 'never');
      change(node.expression, 'true', 'always');
    } else if (ts.isExpressionStatement(node)) change(node, ';', 'left out');
    else if (ts.isConditionalExpression(node)) {
      change(node, node.whenTrue.getText(file), 'always the first');
      change(node, node.whenFalse.getText(file), 'always the second');
    } else if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken.getText(file);
      for (const other of OTHER_OPERATORS[operator] ?? [])
        change(node.operatorToken, other, `${operator} is ${other}`);
    } else if (ts.isNumericLiteral(node))
      change(node, `${Number(node.text) + 1}`, `${node.text} and 1`);
    else if (node.kind === ts.SyntaxKind.TrueKeyword) change(node, 'false', 'true is false');
    else if (node.kind === ts.SyntaxKind.FalseKeyword) change(node, 'true', 'false is true');
    else if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken)
      change(node, node.operand.getText(file), 'not negated');
    else if (ts.isCallExpression(node)) {
      for (const [i, argument] of node.arguments.entries())
        if (COUNTS.has(argument.getText(file)))
          change(argument, `${argument.getText(file)} - 1`, `argument ${i + 1} less 1`);
    }
    if (ts.isForStatement(node)) visit(node.statement);
    else ts.forEachChild(node, visit);
  };
  ts.forEachChild(body, visit);
  return changes;
}

/** The line that a node begins in. */
function lineOf(node: ts.Node, file: ts.SourceFile): string {
  const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
  return file.text.split('\n')[line].trim();
}
