//! A picture of the outcomes: for each measure, how many times better than the other, on a
//! logarithmic scale, with the goal as a mark.

use super::goals::Outcome;
use super::unit::shown;
use std::fmt::Write as _;

const WIDTH: f64 = 1000.0;
const ROW: f64 = 34.0;
const TOP: f64 = 56.0;
/// Where bars may be.
const LEFT: f64 = 400.0;
const RIGHT: f64 = 720.0;
/// The scale's ends, in times.
const LEAST: f64 = 0.1;
const MOST: f64 = 100.0;

pub(crate) fn svg(outcomes: &[Outcome]) -> String {
    let rows: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.other.is_some()).collect();
    let height = TOP + ROW * f64::from(u32::try_from(rows.len()).unwrap_or(0)) + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\">\
         StrataMQ, times better than Apache RocketMQ 5.5.0 or share of the floor</text>\n\
         <text x=\"12\" y=\"42\" fill=\"#555555\">bar: measured; line: goal; \
         logarithmic</text>\n"
    );
    for times in [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0] {
        let x = place(times);
        let colour = if times > 0.9 && times < 1.1 { "#888888" } else { "#dddddd" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{label}\" text-anchor=\"middle\" fill=\"#555555\">{times}x\
             </text>",
            bottom = height - 28.0,
            label = height - 10.0,
        );
    }
    let mut y = TOP;
    for outcome in rows {
        row(&mut svg, outcome, y);
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn row(svg: &mut String, outcome: &Outcome, y: f64) {
    let Outcome { measure, unit, ours, other, achieved, goal, met, .. } = outcome;
    let (one, end) = (place(1.0), place(*achieved));
    let (from, width) = (one.min(end), (one - end).abs().max(1.0));
    let colour = if *met { "#2a7f62" } else { "#c0572b" };
    let numbers = format!("{} : {}", shown(*ours, unit), shown(other.unwrap_or_default(), unit));
    let _ = writeln!(
        svg,
        "<text x=\"{name}\" y=\"{text:.1}\" text-anchor=\"end\">{measure}</text>\
         <rect x=\"{from:.1}\" y=\"{bar:.1}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"/>\
         <text x=\"{after}\" y=\"{text:.1}\">{achieved:.2}x  ({numbers})</text>",
        name = LEFT - 8.0,
        text = y + 20.0,
        bar = y + 8.0,
        after = RIGHT + 8.0,
    );
    if *goal > 0.0 {
        let mark = place(*goal);
        let _ = writeln!(
            svg,
            "<line x1=\"{mark:.1}\" y1=\"{:.1}\" x2=\"{mark:.1}\" y2=\"{:.1}\" \
             stroke=\"#000000\" stroke-width=\"2\"/>",
            y + 4.0,
            y + 28.0,
        );
    }
}

fn place(times: f64) -> f64 {
    let share = (times.clamp(LEAST, MOST) / LEAST).log10() / (MOST / LEAST).log10();
    LEFT + share * (RIGHT - LEFT)
}
