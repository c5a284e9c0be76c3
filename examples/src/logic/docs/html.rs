//! What a page of Unity's documentation says, read from its HTML: the same fields as the Python server (10.3.0) finds.
//!
//! Read from the tags as they come, without a tree: Unity's pages are regular, and what is cut off
//! still gives what came before it.

use std::cell::RefCell;
use std::mem::take;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{RawKind, Rawtext, ScriptData};
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use serde_json::{Map, Value, json};

/// Class, member: what a page of the scripting reference says of it.
#[derive(Debug, Default)]
pub(super) struct Reference {
    pub(super) description: String,
    pub(super) signatures: Vec<String>,
    pub(super) parameters: Vec<Value>,
    pub(super) returns: String,
    pub(super) examples: Vec<String>,
}

/// What an article says: a page of the manual or of a package's.
#[derive(Debug, Default)]
pub(super) struct Article {
    pub(super) title: String,
    pub(super) sections: Vec<Value>,
    pub(super) code: Vec<String>,
}

enum Event {
    Open { tag: String, classes: Vec<String> },
    Close(String),
    Text(StrTendril),
}

fn events(html: &str) -> Vec<Event> {
    let sink = Sink::default();
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(html));
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    tokenizer.sink.events.into_inner()
}

#[derive(Default)]
struct Sink {
    events: RefCell<Vec<Event>>,
}

impl Sink {
    fn tag(&self, tag: Tag) -> TokenSinkResult<()> {
        let name = tag.name.to_string();
        let mut events = self.events.borrow_mut();
        if tag.kind == TagKind::EndTag {
            events.push(Event::Close(name));
            return TokenSinkResult::Continue;
        }
        let raw: Option<RawKind> = match &*name {
            "script" => Some(ScriptData),
            "style" => Some(Rawtext),
            _ => None,
        };
        let class = tag.attrs.iter().find(|attr| &*attr.name.local == "class");
        let classes = class.map_or("", |class| &class.value);
        events.push(Event::Open {
            tag: name,
            classes: classes.split_whitespace().map(str::to_owned).collect(),
        });
        raw.map_or(TokenSinkResult::Continue, TokenSinkResult::RawData)
    }
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(tag) => self.tag(tag),
            Token::CharacterTokens(text) => {
                self.events.borrow_mut().push(Event::Text(text));
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }
}

/// Reads a page of the scripting reference.
pub(super) fn reference(html: &str) -> Reference {
    let mut reader = ReferenceReader::default();
    for event in events(html) {
        match event {
            Event::Open { tag, classes } => reader.open(&tag, &classes),
            Event::Close(tag) => reader.close(&tag),
            Event::Text(text) => reader.text(&text),
        }
    }
    reader.found
}

/// Such a page is a row of `div`s of class `subsection`, each with a title and its paragraphs or table.
#[derive(Default)]
struct ReferenceReader {
    found: Reference,
    /// How many `div`s deep in a subsection; 0 = in none.
    depth: usize,
    title: String,
    in_title: bool,
    in_signature: bool,
    in_pre: bool,
    pre_was_signature: bool,
    in_example: bool,
    in_paragraph: bool,
    in_table: bool,
    /// The classes of the cell.
    cell: Option<Vec<String>>,
    row: Map<String, Value>,
    heard: String,
}

impl ReferenceReader {
    fn open(&mut self, tag: &str, classes: &[String]) {
        let is = |name: &str| classes.iter().any(|class| class == name);
        match tag {
            "div" if is("subsection") => {
                self.depth = 1;
                self.title.clear();
            }
            "div" if self.depth > 0 => self.depth += 1,
            _ => {}
        }
        match tag {
            "div" if is("signature-CS") => {
                self.in_signature = true;
                self.heard.clear();
            }
            "div" if is("signature") => self.in_signature = true,
            "h2" | "h3" if self.depth > 0 => {
                self.in_title = true;
                self.heard.clear();
            }
            "pre" if is("codeExampleCS") => {
                self.in_example = true;
                self.heard.clear();
            }
            "pre" if self.in_signature => {
                self.in_pre = true;
                self.heard.clear();
            }
            "p" if self.depth > 0 => {
                self.in_paragraph = true;
                self.heard.clear();
            }
            "table" if self.depth > 0 => self.in_table = true,
            "td" if self.in_table => {
                self.cell = Some(classes.to_vec());
                self.heard.clear();
            }
            "tr" if self.in_table => self.row = Map::new(),
            _ => {}
        }
    }

    fn close(&mut self, tag: &str) {
        match tag {
            "h2" | "h3" if take(&mut self.in_title) => self.title = self.trimmed(),
            "pre" if take(&mut self.in_example) => {
                let example = self.trimmed();
                self.found.examples.push(example);
            }
            "pre" if take(&mut self.in_pre) => {
                let signature = self.trimmed();
                self.found.signatures.push(signature);
                self.pre_was_signature = true;
            }
            "p" if take(&mut self.in_paragraph) => self.paragraph(),
            "td" => self.end_of_cell(),
            "tr" if self.in_table => {
                let row = take(&mut self.row);
                if row
                    .get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| !name.is_empty())
                {
                    self.found.parameters.push(row.into());
                }
            }
            "table" => self.in_table = false,
            "div" => {
                if take(&mut self.in_signature) && !take(&mut self.pre_was_signature) {
                    self.signature();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let listens = self.in_title
            || self.in_pre
            || self.in_example
            || self.in_paragraph
            || self.cell.is_some()
            || self.in_signature;
        if listens {
            self.heard.push_str(text);
        }
    }

    fn trimmed(&self) -> String {
        self.heard.trim().to_owned()
    }

    /// Newer pages have no `pre` there, and a title within.
    fn signature(&mut self) {
        let words: Vec<&str> = self.heard.split_whitespace().collect();
        let text = words.join(" ");
        let text = text.strip_prefix("Declaration").unwrap_or(&text).trim();
        if !text.is_empty() {
            self.found.signatures.push(text.to_owned());
        }
    }

    fn paragraph(&mut self) {
        let goal = match &*self.title {
            "Description" => &mut self.found.description,
            "Returns" => &mut self.found.returns,
            _ => return,
        };
        if goal.is_empty() {
            *goal = self.heard.trim().to_owned();
        }
    }

    /// Older pages call the classes `name-collumn` and `desc-collumn`.
    fn end_of_cell(&mut self) {
        let Some(classes) = self.cell.take() else {
            return;
        };
        let is = |names: [&str; 2]| classes.iter().any(|class| names.contains(&&**class));
        let column = if is(["name", "name-collumn"]) {
            "name"
        } else if is(["desc", "desc-collumn"]) {
            "description"
        } else {
            return;
        };
        let text = self.trimmed();
        self.row.insert(column.to_owned(), text.into());
    }
}

/// Reads a page of a manual.
pub(super) fn article(html: &str) -> Article {
    let mut reader = ArticleReader::default();
    for event in events(html) {
        match event {
            Event::Open { tag, .. } => reader.open(&tag),
            Event::Close(tag) => reader.close(&tag),
            Event::Text(text) => reader.text(&text),
        }
    }
    reader.end_of_section();
    reader.found
}

#[derive(Default)]
struct ArticleReader {
    found: Article,
    in_title: bool,
    in_heading: bool,
    in_paragraph: bool,
    in_pre: bool,
    heading: Option<String>,
    paragraphs: Vec<String>,
    heard: String,
}

impl ArticleReader {
    fn open(&mut self, tag: &str) {
        match tag {
            "h1" if self.found.title.is_empty() => self.in_title = true,
            "h2" | "h3" => {
                self.end_of_section();
                self.in_heading = true;
            }
            "p" => self.in_paragraph = true,
            "pre" => self.in_pre = true,
            _ => return,
        }
        self.heard.clear();
    }

    fn close(&mut self, tag: &str) {
        let text = || self.heard.trim().to_owned();
        match tag {
            "h1" if self.in_title => {
                self.found.title = text();
                self.in_title = false;
            }
            "h2" | "h3" if self.in_heading => {
                self.heading = Some(text());
                self.paragraphs.clear();
                self.in_heading = false;
            }
            "p" if self.in_paragraph => {
                let text = text();
                self.paragraphs
                    .extend(Some(text).filter(|text| !text.is_empty()));
                self.in_paragraph = false;
            }
            "pre" if self.in_pre => {
                let text = text();
                self.found
                    .code
                    .extend(Some(text).filter(|text| !text.is_empty()));
                self.in_pre = false;
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.in_title || self.in_heading || self.in_paragraph || self.in_pre {
            self.heard.push_str(text);
        }
    }

    fn end_of_section(&mut self) {
        if self.paragraphs.is_empty() && self.heading.is_none() {
            return;
        }
        let heading = self
            .heading
            .take()
            .unwrap_or_else(|| "Introduction".to_owned());
        let content = take(&mut self.paragraphs).join("\n");
        self.found
            .sections
            .push(json!({"heading": heading, "content": content}));
    }
}
