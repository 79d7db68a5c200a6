//! A value in a document and an edit of it, whichever way the document is stored.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use smallvec::SmallVec;

use crate::Error;
use crate::container::Container;
use crate::equality::Equality;
use crate::json::{self, Kind, Sought};
use crate::path::{Filter, Name, Path, Step, has_filter, locate};

/// A value in a document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node<'a> {
    /// Canonical text.
    Text(&'a [u8]),
    /// A container that is not kept as one text.
    Large(&'a Container),
}

/// An array's elements or an object's names, one after the other.
pub(crate) type Items<'a, T> = Box<dyn Iterator<Item = T> + 'a>;

/// The normal texts of values to look for.
pub(crate) type Normals<'s> = HashSet<Cow<'s, [u8]>>;

/// What the elements of an array are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Their own values, as in a set.
    Value(Equality),
    /// The value in each, which is a pair of a number and a value, as in a priority queue.
    Paired,
}

impl By {
    /// The text that elements share which are found as one; nothing where an element is no pair but should be.
    pub(crate) fn normal(self, element: Node<'_>) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Value(equality) => Some(element.normal(equality)),
            Self::Paired => element.pair().map(|(_, value)| value.normal(Equality::Value)),
        }
    }

    /// The normal texts of elements with their places, the first of which is given.
    pub(crate) fn normals<'n>(
        self,
        elements: impl Iterator<Item = Node<'n>>,
        first: usize,
    ) -> impl Iterator<Item = (usize, Cow<'n, [u8]>)> {
        (first..).zip(elements).filter_map(move |(place, element)| Some((place, self.normal(element)?)))
    }
}

impl<'a> Node<'a> {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Text(text) => json::kind(text),
            Self::Large(container) => container.kind(),
        }
    }

    /// The canonical text; gathered where it is not kept as one.
    pub(crate) fn text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Large(container) => Cow::Owned(container.text()),
        }
    }

    /// The length of its text.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Large(container) => container.len(),
        }
    }

    /// How many elements or members it has; none unless it is an array or an object.
    pub(crate) fn items(self) -> usize {
        match self {
            Self::Text(text) => match json::kind(text) {
                Kind::Object => json::members(text, 0).count(),
                _ => json::elements(text, 0).count(),
            },
            Self::Large(container) => container.items(),
        }
    }

    /// The elements of an array; none of anything else.
    pub(crate) fn elements(self) -> Items<'a, Self> {
        match self {
            Self::Text(text) => Box::new(json::elements(text, 0).map(|span| Self::Text(&text[span]))),
            Self::Large(container) => container.elements(),
        }
    }

    /// The names, quoted, of an object's members; none of anything else.
    pub(crate) fn names(self) -> Items<'a, &'a [u8]> {
        match self {
            Self::Text(text) => Box::new(json::members(text, 0).map(|member| &text[member.name])),
            Self::Large(container) => container.names(),
        }
    }

    /// An object's members, the names quoted; none of anything else.
    pub(crate) fn members(self) -> Items<'a, (&'a [u8], Self)> {
        match self {
            Self::Text(text) => Box::new(
                json::members(text, 0).map(|member| (&text[member.name], Self::Text(&text[member.value]))),
            ),
            Self::Large(container) => container.members(),
        }
    }

    /// Whether it is equal to a value sought.
    pub(crate) fn is(self, sought: &Sought<'_>) -> bool {
        match self {
            Self::Text(text) => sought.is(text),
            Self::Large(container) => container.is(sought.text()),
        }
    }

    /// The elements of these normal texts, with their places, in order.
    pub(crate) fn places(self, by: By, sought: &Normals<'_>) -> Vec<(usize, Cow<'a, [u8]>)> {
        match self {
            Self::Text(_) => {
                by.normals(self.elements(), 0).filter(|(_, normal)| sought.contains(normal)).collect()
            }
            Self::Large(container) => container.places(by, sought),
        }
    }

    /// Which of these normal texts its elements have.
    pub(crate) fn held<'s>(self, by: By, sought: &'s Normals<'_>) -> HashSet<&'s [u8]> {
        match self {
            Self::Text(_) => {
                let normals = by.normals(self.elements(), 0);
                normals.filter_map(|(_, normal)| sought.get(&*normal)).map(AsRef::as_ref).collect()
            }
            Self::Large(container) => container.held(by, sought),
        }
    }

    /// The number and the value that it is an array of, if it is one.
    pub(crate) fn pair(self) -> Option<(Self, Self)> {
        match self {
            Self::Text(text) => pair(json::elements(text, 0).map(|span| Self::Text(&text[span]))),
            Self::Large(container) => pair(container.elements()),
        }
    }

    fn is_number(self) -> bool {
        matches!(self.kind(), Kind::Integer | Kind::Number)
    }

    /// The text that equal values share and others do not.
    pub(crate) fn normal(self, equality: Equality) -> Cow<'a, [u8]> {
        match self.text() {
            Cow::Borrowed(text) => equality.normal(text),
            Cow::Owned(text) => equality.normal(&text).into_owned().into(),
        }
    }

    /// The value that steps lead to, and the path there with every index counted from the start.
    pub(crate) fn resolve(self, steps: &[Step]) -> Result<Option<(Path, Self)>, Error> {
        Ok(self.settle(steps)?.and_then(|steps| self.count(&steps)))
    }

    fn count(self, steps: &[Step]) -> Option<(Path, Self)> {
        let mut node = self;
        let mut counted = Path::default();
        for step in steps {
            let step = match step {
                Step::Index(index) if *index < 0 => {
                    let index = node.items() as i64 + index;
                    (index >= 0).then_some(Step::Index(index))?
                }
                step => step.clone(),
            };
            node = node.child(&step)?;
            counted = counted.join(step);
        }
        Some((counted, node))
    }

    /// The steps with the index of the element that it selects in the place of each filter; `None` where one selects
    /// none. One that selects several is an error.
    pub(crate) fn settle(self, steps: &[Step]) -> Result<Option<Cow<'_, [Step]>>, Error> {
        if !has_filter(steps) {
            return Ok(Some(steps.into()));
        }
        let mut settled = steps.to_vec();
        for at in 0..settled.len() {
            let Step::Filter(filter) = &settled[at] else { continue };
            let Some(array) = self.walk(&settled[..at]) else { return Ok(None) };
            let mut selected = array.selected(filter);
            let Some(index) = selected.next() else { return Ok(None) };
            if selected.next().is_some() {
                return Err(Error::ambiguous(&Path::from(&steps[..=at])));
            }
            drop(selected);
            settled[at] = Step::Index(index as i64);
        }
        Ok(Some(settled.into()))
    }

    /// The indexes of the elements that a filter selects.
    fn selected(self, filter: &Filter) -> impl Iterator<Item = usize> {
        let is_selected = |element: Self| match element.child(&filter.member) {
            Some(Self::Text(text)) => *text == *filter.value,
            _ => false,
        };
        self.elements().enumerate().filter(move |(_, element)| is_selected(*element)).map(|(index, _)| index)
    }

    /// The value that steps lead to. A name leads nowhere but in an object, an index or a filter nowhere but in an array.
    pub(crate) fn find(self, steps: &[Step]) -> Result<Option<Self>, Error> {
        match self.walk(steps) {
            None if has_filter(steps) => Ok(self.settle(steps)?.and_then(|steps| self.walk(&steps))),
            found => Ok(found),
        }
    }

    /// The value that a step leads to, which is no filter.
    pub(crate) fn child(self, step: &Step) -> Option<Self> {
        self.walk(std::slice::from_ref(step))
    }

    /// The value that steps lead to; none where one of them is a filter.
    fn walk(self, steps: &[Step]) -> Option<Self> {
        let mut node = self;
        let mut steps = steps;
        loop {
            match node {
                Self::Text(text) => {
                    return locate(steps, text, 0..text.len()).map(|span| Self::Text(&text[span]));
                }
                Self::Large(container) => {
                    let Some((step, below)) = steps.split_first() else { return Some(node) };
                    node = container.child(step)?;
                    steps = below;
                }
            }
        }
    }

    /// The name, quoted, and the value of an object's last member.
    pub(crate) fn last_member(self) -> Option<(&'a [u8], Self)> {
        match self {
            Self::Text(text) => json::members(text, 0)
                .last()
                .map(|member| (&text[member.name], Self::Text(&text[member.value]))),
            Self::Large(container) => container.last_member(),
        }
    }
}

fn pair<'a>(mut parts: impl Iterator<Item = Node<'a>>) -> Option<(Node<'a>, Node<'a>)> {
    match (parts.next(), parts.next(), parts.next()) {
        (Some(number), Some(value), None) if number.is_number() => Some((number, value)),
        _ => None,
    }
}

/// What happens to a value.
#[derive(Clone, Debug)]
pub(crate) enum Edit<'e> {
    /// Another value takes its place.
    Set(Cow<'e, [u8]>),
    /// It goes, with its name where it has one. The root stays.
    Remove,
    /// A member of the object it is gets a value; one that is missing is added at the end.
    Put { name: &'e Name, value: &'e [u8] },
    /// Values enter the array it is, before the element at an index or at the end.
    Insert { at: Option<usize>, values: &'e [Cow<'e, [u8]>] },
    /// The first elements, so many, leave the array it is, and values enter it at its end.
    Shift { first: usize, values: &'e [Cow<'e, [u8]>] },
    /// The elements of a range, which lies within it, leave the array it is.
    Cut(Range<usize>),
    /// Those of several ranges, in order and apart, leave the large array it is.
    CutAll(&'e [Range<usize>]),
}

/// Places in their order as ranges of neighbours.
pub(crate) fn runs(places: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for place in places {
        match runs.last_mut() {
            Some(run) if run.end == place => run.end += 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

/// A range of a text and what takes its place.
pub(crate) struct Splice<'e> {
    /// What goes as well, somewhere before the range.
    gone: Range<usize>,
    range: Range<usize>,
    parts: SmallVec<[&'e [u8]; 4]>,
}

impl<'e> Splice<'e> {
    pub(crate) fn new(range: Range<usize>, parts: impl IntoIterator<Item = &'e [u8]>) -> Self {
        Self { gone: range.start..range.start, range, parts: parts.into_iter().collect() }
    }

    /// What `text` is made of afterwards.
    pub(crate) fn parts_of<'t>(&self, text: &'t [u8]) -> SmallVec<[&'t [u8]; 7]>
    where
        'e: 't,
    {
        let mut parts = SmallVec::new();
        parts.push(&text[..self.gone.start]);
        parts.push(&text[self.gone.end..self.range.start]);
        parts.extend_from_slice(&self.parts);
        parts.push(&text[self.range.end..]);
        parts
    }

    pub(crate) fn apply(&self, text: &[u8]) -> Vec<u8> {
        self.parts_of(text).concat()
    }

    /// Whether the text stays as long as it is.
    pub(crate) fn keeps_length(&self) -> bool {
        self.added() == self.removed()
    }

    /// How many bytes go.
    pub(crate) fn removed(&self) -> usize {
        self.gone.len() + self.range.len()
    }

    /// Does it to a text that [stays as long as it is](Self::keeps_length).
    pub(crate) fn overwrite(&self, text: &mut [u8]) {
        text.copy_within(self.gone.end..self.range.start, self.gone.start);
        let mut at = self.range.start - self.gone.len();
        for part in &self.parts {
            text[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    /// How many bytes take the range's place.
    pub(crate) fn added(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

impl<'e> Edit<'e> {
    /// Takes the elements of ranges, which lie within it, in order and apart, out of an array.
    pub(crate) fn cut_all(array: Node<'_>, ranges: &'e [Range<usize>]) -> Self {
        match (ranges, array) {
            ([range], _) => Self::Cut(range.clone()),
            (_, Node::Large(_)) => Self::CutAll(ranges),
            (_, Node::Text(text)) => {
                let mut ranges = ranges.iter().peekable();
                let mut kept = vec![b'['];
                for (at, element) in json::elements(text, 0).enumerate() {
                    ranges.next_if(|range| range.end <= at);
                    if !ranges.peek().is_some_and(|range| range.contains(&at)) {
                        kept.extend_from_slice(&text[element]);
                        kept.push(b',');
                    }
                }
                json::close(&mut kept);
                Self::Set(kept.into())
            }
        }
    }
}

impl Edit<'_> {
    /// The edit of the value at `span`, to which `step` was the last one, as one of the text around it.
    pub(crate) fn splice(&self, text: &[u8], span: Range<usize>, step: Option<&Step>) -> Splice<'_> {
        let end = span.end - 1;
        let comma: &[u8] = if span.len() == 2 { b"" } else { b"," };
        match self {
            Self::Set(value) => Splice::new(span, [&**value]),
            Self::Remove => Splice::new(step.map_or(end..end, |step| with_comma(text, item(span, step))), []),
            Self::Put { name, value } => match json::member(text, span.start, name) {
                Some(start) => Splice::new(start..json::skip(text, start), [*value]),
                None => Splice::new(end..end, [comma, name, b":", value]),
            },
            Self::Cut(range) => {
                let run = json::elements(text, span.start).run(range);
                Splice::new(run.map_or(end..end, |run| with_comma(text, run)), [])
            }
            Self::Shift { first, values } => {
                let kept = json::element(text, span.start, *first as i64).unwrap_or(end);
                let comma: &[u8] = if kept == end || values.is_empty() { b"" } else { b"," };
                let splice = Splice::new(end..end, separated(comma, values));
                Splice { gone: span.start + 1..kept, ..splice }
            }
            Self::Insert { values: [], .. } | Self::CutAll(_) => Splice::new(end..end, []),
            Self::Insert { at, values } => {
                match at.and_then(|at| json::element(text, span.start, at as i64)) {
                    Some(start) => Splice::new(start..start, separated(b"", values).chain([&b","[..]])),
                    None => Splice::new(end..end, separated(comma, values)),
                }
            }
        }
    }
}

/// The span of an item from that of its value, to which `step` leads.
pub(crate) fn item(value: Range<usize>, step: &Step) -> Range<usize> {
    match step {
        Step::Name(name) => value.start - name.len() - 1..value.end,
        Step::Index(_) | Step::Filter(_) => value,
    }
}

/// The values of a list with the commas between them, `before` before the first.
pub(crate) fn separated<'e>(before: &'e [u8], values: &'e [Cow<'_, [u8]>]) -> impl Iterator<Item = &'e [u8]> {
    values.iter().enumerate().flat_map(move |(at, value)| [if at == 0 { before } else { b"," }, value])
}

/// The range with the comma that goes along when elements or a member are removed.
fn with_comma(text: &[u8], range: Range<usize>) -> Range<usize> {
    if text.get(range.end) == Some(&b',') {
        range.start..range.end + 1
    } else if text[range.start - 1] == b',' {
        range.start - 1..range.end
    } else {
        range
    }
}
