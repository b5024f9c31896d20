// SPDX-License-Identifier: GPL-2.0-only
/** Lints code that is in no file, with the project's own configuration, as if it stood at a path of the tree. */
import { join, resolve } from "node:path";
import { ESLint } from "eslint";
import ts from "typescript";

const ROOT = resolve(import.meta.dirname, "../..");

export interface Snippet {
  /** Path in the tree; need not exist. */
  readonly path: string;
  readonly code: string;
}

export interface Findings {
  /** `rule: message`, in the order of the file. */
  readonly lint: readonly string[];
  /** What the compiler has against it. */
  readonly types: readonly string[];
}

/** A compiler host on which the snippets exist beside the real files. */
function hostWith(files: ReadonlyMap<string, string>, options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options, true);
  const { fileExists, readFile, getSourceFile } = host;
  return {
    ...host,
    fileExists: (name) => files.has(name) || fileExists(name),
    readFile: (name) => files.get(name) ?? readFile(name),
    getSourceFile: (name, version, ...rest) => {
      const text = files.get(name);
      return text === undefined
        ? getSourceFile(name, version, ...rest)
        : ts.createSourceFile(name, text, version, true);
    },
  };
}

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile) as { config: object };
  // Other files of the tree would only cost time.
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, ROOT);
  // Snippets are short: they need not be tidy, only right.
  return { ...options, allowUnreachableCode: true, noImplicitReturns: false, noUnusedLocals: false };
}

/** All snippets together are one program: the standard library is read once. */
export async function lintAll(snippets: readonly Snippet[]): Promise<Findings[]> {
  const files = new Map(snippets.map(({ path, code }) => [join(ROOT, path), code]));
  const options = compilerOptions();
  const program = ts.createProgram([...files.keys()], options, hostWith(files, options));
  const eslint = new ESLint({
    cwd: ROOT,
    overrideConfig: [{ languageOptions: { parserOptions: { projectService: false, programs: [program] } } }],
  });
  const findings: Findings[] = [];
  for (const [filePath, code] of files) {
    const [result] = await eslint.lintText(code, { filePath });
    const source = program.getSourceFile(filePath);
    findings.push({
      lint: (result?.messages ?? []).map(({ ruleId, message }) => `${ruleId ?? "eslint"}: ${message}`),
      types: program
        .getSemanticDiagnostics(source)
        .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n")),
    });
  }
  return findings;
}
