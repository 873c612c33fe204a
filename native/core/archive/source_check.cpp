#include "core/archive/source_check.h"

#include <torch/csrc/jit/frontend/lexer.h>
#include <torch/csrc/jit/frontend/parser.h>
#include <torch/csrc/jit/frontend/tree_views.h>

#include <cctype>
#include <memory>

#include "core/archive/static_nesting.h"
#include "core/base/error.h"
#include "core/base/failure.h"

namespace torchsearch {
namespace {

using namespace torch::jit;

// PyTorch's printer breaks expressions up long before these.
constexpr size_t kMaxBrackets = 150;
constexpr size_t kMaxIndentation = 100;
constexpr size_t kMaxChain = 1000;
constexpr size_t kMaxElif = 300;

[[noreturn]] void refuseSource(const std::string& name, const std::string& why, size_t line) {
  throw Error("ERR_NOT_TORCHSCRIPT", "The code in \"" + name + "\" is damaged or hostile: " + why +
                                         " (line " + std::to_string(line) + "); save the model again.");
}

// Reads the text as the lexer will, only to count how deeply it nests.
class NestingCheck {
 public:
  NestingCheck(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void run() {
    chains_.push_back(0);
    startLine();
    while (at_ < text_.size()) step();
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '\0') refuseSource(name_, "it contains a zero byte", line_);
    if (c == '#') {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (c == '\n') {
      ++line_;
      ++at_;
      if (chains_.size() == 1) startLine();
    } else if (c == '\'' || c == '"') {
      skipString(c);
    } else if (std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_') {
      word();
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      // A point or a sign inside of a number chains nothing.
      while (at_ < text_.size() &&
             (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '.'))
        ++at_;
    } else {
      sign(c);
      ++at_;
    }
  }

  void sign(char c) {
    if (c == '(' || c == '[' || c == '{') {
      link();  // a call or a subscript continues a chain
      chains_.push_back(0);
      if (chains_.size() > kMaxBrackets) refuseSource(name_, "its brackets are nested too deeply", line_);
    } else if (c == ')' || c == ']' || c == '}') {
      if (chains_.size() > 1) chains_.pop_back();
    } else if (c == ',' || c == ';') {
      chains_.back() = 0;
    } else if (std::isspace(static_cast<unsigned char>(c)) == 0) {
      link();
    }
  }

  void link() {
    if (++chains_.back() > kMaxChain) refuseSource(name_, "an expression is too long a chain", line_);
  }

  void word() {
    const size_t from = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_'))
      ++at_;
    const std::string_view found = text_.substr(from, at_ - from);
    if (found == "not" || found == "and" || found == "or" || found == "if" || found == "else" ||
        found == "is")
      link();
    if (found == "elif" && ++elifs_ > kMaxElif)
      refuseSource(name_, "it has too many branches in one function", line_);
    if (found == "def") elifs_ = 0;
  }

  void skipString(char quote) {
    const bool triple = text_.substr(at_, 3) == std::string(3, quote);
    at_ += triple ? 3 : 1;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] == '\\') {
        ++at_;
      } else if (triple ? text_.substr(at_, 3) == std::string(3, quote) : text_[at_] == quote) {
        at_ += triple ? 3 : 1;
        return;
      }
    }
    refuseSource(name_, "a text is not closed", line_);
  }

  void startLine() {
    chains_.back() = 0;
    size_t column = 0;
    while (at_ + column < text_.size() && (text_[at_ + column] == ' ' || text_[at_ + column] == '\t'))
      ++column;
    at_ += column;
    if (at_ >= text_.size() || text_[at_] == '\n' || text_[at_] == '#') return;
    while (!columns_.empty() && columns_.back() >= column) columns_.pop_back();
    columns_.push_back(column);
    if (columns_.size() > kMaxIndentation) refuseSource(name_, "its blocks are nested too deeply", line_);
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t elifs_ = 0;
  std::vector<size_t> chains_;   // signs so far, a level of brackets each
  std::vector<size_t> columns_;  // of the open blocks
};

// Whether evaluating an expression computes nothing: literals, containers of them, named constants, and the
// few calls that PyTorch prints for literals of a type.
bool isLiteral(const TreeRef& tree) {
  switch (tree->kind()) {
    case TK_CONST:
    case TK_STRING:
    case TK_STRINGLITERAL:
    case TK_TRUE:
    case TK_FALSE:
    case TK_NONE:
    case TK_DOTS:
    case TK_VAR:
    case TK_IDENT:
    case TK_OPTION:
    case TK_NOTHING:
      break;
    case TK_UNARY_MINUS:
    case TK_LIST_LITERAL:
    case TK_TUPLE_LITERAL:
    case TK_DICT_LITERAL:
    case TK_LIST:
      break;
    case '.': {
      const Select select(tree);
      return isLiteral(select.value().tree());
    }
    case TK_APPLY: {
      const Apply apply(tree);
      if (apply.attributes().size() > 0) return false;
      const TreeRef& callee = apply.callee().tree();
      bool known = false;
      if (callee->kind() == TK_VAR) {
        const std::string& name = Var(callee).name().name();
        known = name == "annotate" || name == "float" || name == "int" || name == "complex";
      } else if (callee->kind() == '.') {
        const Select select(callee);
        known = select.value().kind() == TK_VAR && Var(select.value().tree()).name().name() == "torch" &&
                select.selector().name() == "device";
      }
      if (!known) return false;
      for (const Expr& input : apply.inputs()) {
        // The type of `annotate`, such as List[int], is a subscript of names.
        if (input.kind() != TK_SUBSCRIPT && !isLiteral(input.tree())) return false;
      }
      return true;
    }
    default:
      return false;
  }
  for (const TreeRef& inner : tree->trees()) {
    if (!isLiteral(inner)) return false;
  }
  return true;
}

void requireLiteral(const TreeRef& tree, const std::string& name, const char* what) {
  if (isLiteral(tree)) return;
  throw Error(
      "ERR_UNSAFE_OPERATOR",
      "The code in \"" + name + "\" computes " + what +
          " while it is loaded, before it can be checked; write the value itself, and save the model again.");
}

// A function within a function, whose defaults would be evaluated, too. PyTorch's printer writes none.
bool definesFunction(const TreeRef& tree) {
  if (tree->kind() == TK_DEF) return true;
  for (const TreeRef& inner : tree->trees()) {
    if (definesFunction(inner)) return true;
  }
  return false;
}

void checkFunction(const Def& def, const std::string& name, SourceContents& contents) {
  ++contents.functions;
  if (!hasSmallTypes(def)) {
    throw Error("ERR_NOT_TORCHSCRIPT", "The code in \"" + name +
                                           "\" makes values of values without end, in \"" +
                                           def.name().name() + "\"; save the model again.");
  }
  // A type that is inferred of another function's, and so on, has no bounds. PyTorch's printer writes it.
  if (!def.decl().return_type().present()) {
    throw Error("ERR_NOT_TORCHSCRIPT", "The code in \"" + name +
                                           "\" has a function that doesn't say what it returns, \"" +
                                           def.name().name() + "\"; save the model again.");
  }
  for (const Param& param : def.decl().params()) {
    if (param.defaultValue().present()) {
      requireLiteral(param.defaultValue().get().tree(), name, "the default of a parameter");
    }
  }
  if (definesFunction(def.statements().tree())) {
    throw Error("ERR_NOT_TORCHSCRIPT",
                "The code in \"" + name + "\" defines a function within a function; save the model again.");
  }
}

void checkClass(const ClassDef& cls, const std::string& qualifier, const std::string& name,
                SourceContents& contents) {
  contents.classes.push_back(qualifier + "." + cls.name().name());
  for (const Stmt& statement : cls.body()) {
    if (statement.kind() == TK_DEF) {
      const Def def(statement.tree());
      contents.setsState = contents.setsState || def.name().name() == "__setstate__";
      checkFunction(def, name, contents);
    } else if (statement.kind() == TK_ASSIGN) {
      const Assign assign(statement.tree());
      // `__annotations__["a"] = List[int]` names a type, and is not evaluated.
      if (assign.rhs().present() && assign.lhs().kind() != TK_SUBSCRIPT) {
        requireLiteral(assign.rhs().get().tree(), name, "a constant of a class");
      }
    }
  }
}

// Statements that may stand before definitions: `op_version_set = 1` and imports.
void skipPreamble(Lexer& lexer) {
  if (lexer.cur().kind == TK_IDENT && lexer.cur().text() == "op_version_set") {
    lexer.next();
    lexer.expect('=');
    lexer.expect(TK_NUMBER);
    lexer.expect(TK_NEWLINE);
  }
}

void skipImports(Lexer& lexer) {
  while (lexer.nextIf(TK_IMPORT)) {
    while (lexer.cur().kind != TK_NEWLINE) lexer.next();
    lexer.expect(TK_NEWLINE);
  }
}

}  // namespace

SourceContents checkSource(const std::string& text, const std::string& qualifier, const std::string& name) {
  NestingCheck(text, name).run();
  SourceContents contents;
  try {
    Parser parser(std::make_shared<Source>(text, name, 1));
    Lexer& lexer = parser.lexer();
    skipPreamble(lexer);
    while (true) {
      skipImports(lexer);
      if (lexer.cur().kind == TK_EOF) break;
      if (lexer.cur().kind == TK_CLASS_DEF) {
        checkClass(ClassDef(parser.parseClass()), qualifier, name, contents);
      } else if (lexer.cur().kind == TK_DEF) {
        checkFunction(Def(parser.parseFunction(/*is_method=*/false)), name, contents);
      } else {
        throw std::runtime_error("it defines neither classes nor functions");
      }
    }
  } catch (const Error&) {
    throw;
  } catch (...) {
    throw Error("ERR_NOT_TORCHSCRIPT", "The code in \"" + name + "\" is not TorchScript (" +
                                           describeFailure(std::current_exception(), "").message +
                                           "); save the model again.");
  }
  return contents;
}

}  // namespace torchsearch
