//! A cheap check of C# text: brackets, strings, comments and `#error`.
//!
//! It finds the mistakes that a half-written file has, so that compile errors can be met without a
//! compiler. What passes here need not compile in Unity.

use std::fmt;

/// One compile error. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub col: usize,
    /// The compiler's code, e.g. `CS1513`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    /// As Unity prints it behind the path: `(3,5): error CS1513: syntax error, } expected`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "({},{}): error {}: {}",
            self.line, self.col, self.code, self.message
        )
    }
}

/// The first mistake of `text`, if any: after one, a bracket count says nothing.
#[must_use]
pub fn check(text: &str) -> Option<Diagnostic> {
    Lexer::new(text).run().err()
}

/// What is open and must be closed.
#[derive(Clone, Copy)]
enum Open {
    Bracket {
        close: char,
        at: (usize, usize),
    },
    /// The `{…}` of an interpolated string: its `}` leads back into the text.
    Hole {
        verbatim: bool,
    },
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    col: usize,
    open: Vec<Open>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            line: 1,
            col: 0,
            open: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(), Diagnostic> {
        let mut first_of_line = true;
        while let Some(letter) = self.next() {
            match letter {
                '\n' => first_of_line = true,
                c if c.is_whitespace() => {}
                '#' if first_of_line => self.directive()?,
                _ => {
                    first_of_line = false;
                    self.code(letter)?;
                }
            }
        }
        match self.open.last() {
            None => Ok(()),
            Some(Open::Hole { .. }) => Err(self.error("CS1010", "syntax error, string not closed")),
            Some(&Open::Bracket { close, at }) => Err(error(
                at,
                expected_code(close),
                format!("syntax error, {close} expected: what opens here stays open"),
            )),
        }
    }

    fn code(&mut self, letter: char) -> Result<(), Diagnostic> {
        match letter {
            '/' if self.eat('/') => self.skip_line(),
            '/' if self.eat('*') => self.block_comment()?,
            '"' => self.quoted(false, false)?,
            '\'' => self.character()?,
            '@' | '$' => {
                let (mut verbatim, mut holes) = (letter == '@', letter == '$');
                while let Some(&mark @ ('@' | '$')) = self.rest.peek() {
                    self.next();
                    verbatim |= mark == '@';
                    holes |= mark == '$';
                }
                if self.eat('"') {
                    self.quoted(verbatim, holes)?;
                }
            }
            '(' => self.opened(')'),
            '[' => self.opened(']'),
            '{' => self.opened('}'),
            ')' | ']' | '}' => self.closed(letter)?,
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self, close: char) {
        self.open.push(Open::Bracket {
            close,
            at: (self.line, self.col),
        });
    }

    fn closed(&mut self, letter: char) -> Result<(), Diagnostic> {
        match self.open.pop() {
            Some(Open::Bracket { close, .. }) if close == letter => Ok(()),
            Some(Open::Hole { verbatim }) if letter == '}' => self.text(verbatim, true),
            Some(Open::Bracket { close, .. }) => Err(self.error(
                expected_code(close),
                format!("syntax error, {close} expected"),
            )),
            Some(Open::Hole { .. }) => Err(self.error("CS1513", "syntax error, } expected")),
            None => Err(self.error("CS1022", format!("syntax error, unexpected {letter}"))),
        }
    }

    /// Behind an opening quote, which may turn out to be the first of three.
    fn quoted(&mut self, verbatim: bool, holes: bool) -> Result<(), Diagnostic> {
        if verbatim || self.rest.peek() != Some(&'"') {
            return self.text(verbatim, holes);
        }
        self.next();
        let mut quotes = 2;
        while self.eat('"') {
            quotes += 1;
        }
        if quotes == 2 {
            Ok(())
        } else {
            self.raw_text(quotes)
        }
    }

    /// A string's text, up to its closing quote or the hole that interrupts it.
    fn text(&mut self, verbatim: bool, holes: bool) -> Result<(), Diagnostic> {
        let at = (self.line, self.col);
        while let Some(letter) = self.next() {
            match letter {
                '"' if verbatim && self.eat('"') => {}
                '"' => return Ok(()),
                '\\' if !verbatim => {
                    self.next();
                }
                '{' if holes && !self.eat('{') => {
                    self.open.push(Open::Hole { verbatim });
                    return Ok(());
                }
                '\n' if !verbatim => break,
                _ => {}
            }
        }
        Err(error(at, "CS1010", "syntax error, string not closed"))
    }

    /// `"""…"""`: ends at as many quotes as began it; holes in it are not looked into.
    fn raw_text(&mut self, quotes: usize) -> Result<(), Diagnostic> {
        let at = (self.line, self.col);
        let mut seen = 0;
        while let Some(letter) = self.next() {
            seen = if letter == '"' { seen + 1 } else { 0 };
            if seen == quotes {
                while self.eat('"') {}
                return Ok(());
            }
        }
        Err(error(at, "CS8997", "syntax error, raw string not closed"))
    }

    fn character(&mut self) -> Result<(), Diagnostic> {
        let at = (self.line, self.col);
        while let Some(letter) = self.next() {
            match letter {
                '\'' => return Ok(()),
                '\\' => {
                    self.next();
                }
                '\n' => break,
                _ => {}
            }
        }
        Err(error(at, "CS1010", "syntax error, character not closed"))
    }

    fn block_comment(&mut self) -> Result<(), Diagnostic> {
        let at = (self.line, self.col);
        while let Some(letter) = self.next() {
            if letter == '*' && self.eat('/') {
                return Ok(());
            }
        }
        Err(error(at, "CS1035", "syntax error, comment not closed"))
    }

    /// Behind a `#`: its line is no code (`#region Don't touch` has no open quote).
    fn directive(&mut self) -> Result<(), Diagnostic> {
        let at = (self.line, self.col);
        let mut words = String::new();
        while self.rest.peek().is_some_and(|&c| c != '\n') {
            words.extend(self.next());
        }
        match words.trim().strip_prefix("error") {
            Some(text) => Err(error(at, "CS1029", format!("#error: '{}'", text.trim()))),
            None => Ok(()),
        }
    }

    fn skip_line(&mut self) {
        while self.rest.peek().is_some_and(|&c| c != '\n') {
            self.next();
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest.peek() == Some(&wanted);
        if found {
            self.next();
        }
        found
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        if letter == '\n' {
            self.line += 1;
            self.col = 0;
        } else {
            self.col += 1;
        }
        Some(letter)
    }

    fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        error((self.line, self.col), code, message)
    }
}

fn error(at: (usize, usize), code: &'static str, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        line: at.0,
        col: at.1.max(1),
        code,
        message: message.into(),
    }
}

fn expected_code(close: char) -> &'static str {
    match close {
        ')' => "CS1026",
        ']' => "CS1003",
        _ => "CS1513",
    }
}
