//! What `WHERE` asks of a document before it is changed.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Arg, Call, Kind, PATH};
use crate::json::{self, Kind as Json, Sought};
use crate::node::Node;
use crate::{Error, Path};

/// `WHERE path operator json`
pub(super) const ARG: Arg = Arg::new(
    "condition",
    Kind::Block(&[Arg::token("WHERE"), PATH, Arg::new("operator", Kind::OneOf(OPERATORS)), JSON]),
)
.optional()
.multiple();

const JSON: Arg = Arg::new("json", Kind::Json);

const OPERATORS: &[Arg] = &[
    Arg::token("EQ"),
    Arg::token("NE"),
    Arg::token("LT"),
    Arg::token("LE"),
    Arg::token("GT"),
    Arg::token("GE"),
];

/// A comparison of the value at a path. Where the path leads nowhere it is not met.
pub(super) struct Condition<'a> {
    path: Path,
    operator: Operator,
    value: Cow<'a, [u8]>,
}

#[derive(Clone, Copy)]
enum Operator {
    /// Whether the values are equal is to be this.
    Equal(bool),
    /// The order of the value in the document to the one given is one of these two.
    Order(Ordering, Ordering),
}

impl<'a> Condition<'a> {
    /// Takes what follows `WHERE`.
    pub(super) fn take(call: &mut Call<'a>) -> Result<Self, Error> {
        let path = call.args.path()?;
        let operators = [
            ("EQ", Operator::Equal(true)),
            ("NE", Operator::Equal(false)),
            ("LT", Operator::Order(Ordering::Less, Ordering::Less)),
            ("LE", Operator::Order(Ordering::Less, Ordering::Equal)),
            ("GT", Operator::Order(Ordering::Greater, Ordering::Greater)),
            ("GE", Operator::Order(Ordering::Greater, Ordering::Equal)),
        ];
        let operator = call.args.choice(&operators, "an operator is one of EQ, NE, LT, LE, GT and GE")?;
        let value = call.args.json(0)?;
        if let Operator::Order(..) = operator
            && !matches!(json::kind(&value), Json::Integer | Json::Number | Json::String)
        {
            return Err(Error::argument(&value, "only numbers and strings are less or greater than others"));
        }
        Ok(Self { path, operator, value })
    }

    pub(super) fn is_met(&self, root: Node<'_>) -> Result<bool, Error> {
        let Some(node) = root.find(self.path.steps())? else {
            return Ok(false);
        };
        match self.operator {
            Operator::Equal(equal) => Ok(node.is(&Sought::new(&self.value)) == equal),
            Operator::Order(one, other) => {
                let expected = match json::kind(&self.value) {
                    Json::String => "a string to compare with a string",
                    _ => "a number to compare with a number",
                };
                let order = match node {
                    Node::Text(text) => json::order(text, &self.value),
                    Node::Large(_) => None,
                };
                let order = order.ok_or_else(|| Error::bad_type(&self.path, expected, node.kind()))?;
                Ok(order == one || order == other)
            }
        }
    }
}
