// Checks the docstrings of what each package exports: a summary on every symbol, on every property
// of a type and on every method; @param for each parameter, @returns where something is returned,
// and, in the layers that model kernel code, @source on functions and classes (on the symbol, or
// once in its module's header).
import { globSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The packages that model kernel code; each function and class there has to name its source. */
const NEED_SOURCE = ['packages/mm', 'packages/iommu', 'packages/vfio-type1'];

/**
 * Checks what the given index files export.
 * @param {string} root the folder that file names in messages are relative to
 * @param {string[]} indexFiles absolute
 * @param {(file: string) => boolean} needsSource whether a file's functions and classes need @source
 * @returns {string[]} one line per fault, `file:line symbol: what is missing`
 */
export function checkDocs(root, indexFiles, needsSource) {
  const program = ts.createProgram(indexFiles, {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    types: [],
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    customConditions: ['@pinfold/source'],
  });
  const checker = program.getTypeChecker();
  const faults = new Set();

  /**
   * @param {ts.Declaration} declaration
   * @param {string} name
   * @param {string} what
   */
  function report(declaration, name, what) {
    const file = declaration.getSourceFile();
    const { line } = file.getLineAndCharacterOfPosition(declaration.getStart());
    faults.add(`${relative(root, file.fileName)}:${line + 1} ${name}: ${what}`);
  }

  /**
   * @param {ts.Symbol} symbol
   * @param {ts.Declaration} declaration
   * @param {string} name
   */
  function checkSummary(symbol, declaration, name) {
    if (symbol.getDocumentationComment(checker).length > 0) return;
    // "@returns the first node" says all there is to say about a method `first`.
    const tags = symbol.getJsDocTags(checker);
    if (symbol.flags & ts.SymbolFlags.Method && tags.some((tag) => tag.name === 'returns')) return;
    report(declaration, name, 'no summary');
  }

  /**
   * @param {ts.Symbol} symbol its tags may be inherited from the interface it implements
   * @param {ts.SignatureDeclaration} declaration
   * @param {string} name
   */
  function checkSignature(symbol, declaration, name) {
    const tags = symbol.getJsDocTags(checker);
    const documented = tags
      .filter((tag) => tag.name === 'param')
      .map((tag) => ts.displayPartsToString(tag.text).split(/\s/, 1)[0]);
    for (const parameter of declaration.parameters) {
      // `_order` is not used: it is there for the interface, which documents it.
      if (parameter.name.getText().startsWith('_')) continue;
      // A destructured parameter has no name of its own: any further @param stands for it.
      const found = ts.isIdentifier(parameter.name)
        ? documented.includes(parameter.name.text)
        : documented.length >= declaration.parameters.length;
      if (!found) report(parameter, name, `no @param ${parameter.name.getText()}`);
    }
    const signature = checker.getSignatureFromDeclaration(declaration);
    if (!signature || ts.isConstructorDeclaration(declaration)) return;
    const returned = checker.typeToString(signature.getReturnType());
    if (/^(?:void|never|undefined|this|Promise<void>)$/.test(returned)) return;
    if (!tags.some((tag) => tag.name === 'returns')) report(declaration, name, 'no @returns');
  }

  /**
   * @param {ts.Symbol} symbol
   * @param {ts.Declaration} declaration
   * @param {string} name
   */
  function checkSource(symbol, declaration, name) {
    const file = declaration.getSourceFile();
    if (!needsSource(file.fileName)) return;
    if (symbol.getJsDocTags(checker).some((tag) => tag.name === 'source')) return;
    const [header] = ts.getLeadingCommentRanges(file.text, 0) ?? [];
    if (header && /@source\b/.test(file.text.slice(header.pos, header.end))) return;
    report(declaration, name, 'no @source, nor one in the header of its module');
  }

  /**
   * The members of a class, interface or type literal.
   * @param {readonly (ts.ClassElement | ts.TypeElement)[]} members
   * @param {string} owner
   */
  function checkMembers(members, owner) {
    for (const member of members) {
      // An override means what it overrides, which is documented where it is from.
      const { Private, Protected, Override } = ts.ModifierFlags;
      if (ts.getCombinedModifierFlags(member) & (Private | Protected | Override)) continue;
      if (member.name && ts.isPrivateIdentifier(member.name)) continue;
      if (ts.isConstructorDeclaration(member)) {
        checkConstructor(member, owner);
        continue;
      }
      const symbol = member.name && checker.getSymbolAtLocation(member.name);
      if (!member.name || !symbol) continue;
      const name = `${owner}.${member.name.getText()}`;
      checkSummary(symbol, member, name);
      if (ts.isMethodDeclaration(member) || ts.isMethodSignature(member)) {
        checkSignature(symbol, member, name);
      } else if (ts.isPropertySignature(member) && member.type) {
        if (ts.isTypeLiteralNode(member.type)) checkMembers(member.type.members, name);
      }
    }
  }

  /**
   * A constructor's parameters are documented above it, or with its class.
   * @param {ts.ConstructorDeclaration} declaration
   * @param {string} owner
   */
  function checkConstructor(declaration, owner) {
    const documented = [declaration, declaration.parent]
      .flatMap((node) => ts.getJSDocTags(node))
      .filter(ts.isJSDocParameterTag)
      .map((tag) => tag.name.getText());
    for (const { name } of declaration.parameters) {
      if (!documented.includes(name.getText())) {
        report(declaration, `new ${owner}`, `no @param ${name.getText()}`);
      }
    }
  }

  /** @param {ts.Symbol} symbol */
  function checkExport(symbol) {
    const { name } = symbol;
    const declarations = (symbol.declarations ?? []).filter(
      (declaration) => !declaration.getSourceFile().fileName.includes('/node_modules/'),
    );
    for (const declaration of declarations) {
      checkSummary(symbol, declaration, name);
      if (ts.isFunctionDeclaration(declaration)) {
        checkSignature(symbol, declaration, name);
        checkSource(symbol, declaration, name);
      } else if (ts.isClassDeclaration(declaration)) {
        checkSource(symbol, declaration, name);
        checkMembers(declaration.members, name);
      } else if (ts.isInterfaceDeclaration(declaration)) {
        checkMembers(declaration.members, name);
      } else if (ts.isTypeAliasDeclaration(declaration)) {
        if (ts.isTypeLiteralNode(declaration.type)) checkMembers(declaration.type.members, name);
      } else if (ts.isVariableDeclaration(declaration)) {
        const value = declaration.initializer;
        if (value && (ts.isArrowFunction(value) || ts.isFunctionExpression(value))) {
          checkSignature(symbol, value, name);
          checkSource(symbol, declaration, name);
        }
      }
    }
  }

  for (const indexFile of indexFiles) {
    const source = program.getSourceFile(indexFile);
    const module = source && checker.getSymbolAtLocation(source);
    // No module symbol: a file without exports has nothing to document.
    for (const symbol of module ? checker.getExportsOfModule(module) : []) {
      checkExport(symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
    }
  }
  return [...faults].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

if (import.meta.main) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const indexFiles = globSync('packages/*/src/index.ts', { cwd: root }).map((file) =>
    join(root, file),
  );
  const faults = checkDocs(root, indexFiles, (file) =>
    NEED_SOURCE.some((dir) => file.startsWith(join(root, dir, 'src/'))),
  );
  for (const fault of faults) console.error(fault);
  if (faults.length === 0)
    console.log(`the exports of ${indexFiles.length} packages are documented`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
