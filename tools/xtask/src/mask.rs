//! Rust source without its comments and texts, so that a rule about code is not broken by a sentence about code.

/// The source with comments and the inside of text literals replaced by spaces; lines stay where they are.
pub fn code_only(source: &str) -> String {
    let mut masker = Masker { rest: source, code: String::with_capacity(source.len()) };
    while !masker.rest.is_empty() {
        masker.step();
    }
    masker.code
}

struct Masker<'a> {
    rest: &'a str,
    code: String,
}

impl Masker<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(end);
        } else if self.rest.starts_with("/*") {
            let end = block_comment_end(self.rest);
            self.blank(end);
        } else if let Some(end) = raw_text_end(self.rest).filter(|_| !self.follows_a_name()) {
            self.blank(end);
        } else if self.rest.starts_with('"') {
            let end = text_end(self.rest);
            self.blank(end);
        } else if let Some(end) = letter_end(self.rest) {
            self.blank(end);
        } else {
            self.keep();
        }
    }

    /// Whether the `r` ahead is the end of a longer name rather than the start of a raw text.
    fn follows_a_name(&self) -> bool {
        self.code.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
    }

    fn keep(&mut self) {
        let mut letters = self.rest.chars();
        self.code.extend(letters.next());
        self.rest = letters.as_str();
    }

    fn blank(&mut self, bytes: usize) {
        let (blanked, rest) = self.rest.split_at(bytes);
        self.code.extend(blanked.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }
}

/// Bytes of a block comment, nested ones included.
fn block_comment_end(source: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(next) = source[at..].find(['/', '*']) {
        at += next;
        if source[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if source[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    source.len()
}

/// Bytes of a raw text such as `r#"..."#`, if one starts here.
fn raw_text_end(source: &str) -> Option<usize> {
    let after_mark = source.strip_prefix("br").or_else(|| source.strip_prefix('r'))?;
    let hashes = after_mark.len() - after_mark.trim_start_matches('#').len();
    let body = after_mark[hashes..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let start = source.len() - body.len();
    Some(body.find(&closing).map_or(source.len(), |at| start + at + closing.len()))
}

/// Bytes of a text in quotes, with its escapes.
fn text_end(source: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in source.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    source.len()
}

/// Bytes of a letter such as `'"'`, if it is not a lifetime.
fn letter_end(source: &str) -> Option<usize> {
    let inside = source.strip_prefix('\'')?;
    let close = match inside.strip_prefix('\\') {
        Some(escape) => 2 + escape.get(1..)?.find('\'')?,
        None => inside.char_indices().nth(1)?.0,
    };
    inside[close..].starts_with('\'').then_some(close + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_remains() {
        for (source, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x\\\"y\", z)", "f(      , z)"),
            ("r#\"a\"b\"# c", "         c"),
            ("for\"x\" y", "for    y"),
            ("'\"' x", "    x"),
            ("'\\'' x", "     x"),
            ("'\\u{41}' x", "         x"),
            ("&'a str", "&'a str"),
            ("\"two\nlines\" x", "    \n       x"),
        ] {
            assert_eq!(code_only(source), expected, "{source}");
        }
    }
}
