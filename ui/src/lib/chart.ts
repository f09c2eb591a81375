/** How uPlot draws the hash rate: one line, and the best share of each step as dots on a logarithmic scale. */

import uPlot from 'uplot';
import type { Format } from './format';

/** Columns of a chart: seconds, hashes a second, difficulty of the best share. */
export type ChartData = [number[], (number | null)[], (number | null)[]];

const AXIS_TEXT = '#a9afcf';
const GRID = '#1b2040';
const LINE = '#00e0ff';
const DOT = '#ab98ff';
const AXIS_FONT = '12px system-ui, sans-serif';
/** Narrower than this the axis of the dots is left out. */
const SECOND_AXIS_FROM_PX = 560;

/** What the chart tells while the pointer is over it; null when it left. */
export type OnPoint = (index: number | null) => void;

/** Options for uPlot at the given size. */
export function chartOptions(width: number, height: number, format: Format, onPoint: OnPoint): uPlot.Options {
  return {
    width,
    height,
    padding: [12, width < SECOND_AXIS_FROM_PX ? 24 : 4, 0, 4],
    legend: { show: false },
    cursor: { points: { size: 8, fill: LINE, stroke: '#05060b' }, drag: { x: false, y: false }, y: false },
    hooks: { setCursor: [(chart) => onPoint(chart.cursor.idx ?? null)] },
    scales: {
      y: { range: (_chart, _low, high) => [0, high > 0 ? high * 1.12 : 1] },
      best: { distr: 3, range: (_chart, low, high) => bestRange(low, high) },
    },
    axes: [timeAxis(format), hashrateAxis(format), bestAxis(format, width >= SECOND_AXIS_FROM_PX)],
    series: [{}, hashrateSeries(), bestSeries()],
  };
}

/** Powers of ten around the dots, with the dots in the upper half so that they stay clear of the line's foot. */
function bestRange(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !(low > 0)) return [1, 10];
  return [10 ** Math.floor(Math.log10(low) - 0.2), 10 ** Math.ceil(Math.log10(high) + 0.05)];
}

function timeAxis(format: Format): uPlot.Axis {
  const clock = new Intl.DateTimeFormat(format.locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  return {
    stroke: AXIS_TEXT,
    font: AXIS_FONT,
    grid: { show: false },
    ticks: { stroke: GRID, size: 5 },
    space: 72,
    size: 34,
    values: (_chart, splits) => splits.map((seconds) => clock.format(new Date(seconds * 1000))),
  };
}

function hashrateAxis(format: Format): uPlot.Axis {
  return {
    stroke: AXIS_TEXT,
    font: AXIS_FONT,
    grid: { stroke: GRID, width: 1 },
    ticks: { show: false },
    space: 44,
    size: 76,
    values: (_chart, splits) => splits.map((value) => (value === 0 ? '0' : format.hashrateText(value))),
  };
}

function bestAxis(format: Format, show: boolean): uPlot.Axis {
  return {
    scale: 'best',
    side: 1,
    show,
    stroke: DOT,
    font: AXIS_FONT,
    grid: { show: false },
    ticks: { show: false },
    size: 60,
    values: (_chart, splits) => splits.map((value) => (isPowerOfTen(value) ? format.powerOfTen(value) : '')),
  };
}

function isPowerOfTen(value: number | null): value is number {
  return value !== null && value > 0 && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
}

function hashrateSeries(): uPlot.Series {
  return {
    label: 'hashrate',
    stroke: LINE,
    width: 2,
    fill: (chart) => {
      const gradient = chart.ctx.createLinearGradient(0, chart.bbox.top, 0, chart.bbox.top + chart.bbox.height);
      gradient.addColorStop(0, '#7b5cff66');
      gradient.addColorStop(1, '#7b5cff00');
      return gradient;
    },
    points: { show: false },
  };
}

function bestSeries(): uPlot.Series {
  return { label: 'best', scale: 'best', stroke: DOT, width: 0, paths: () => null, points: { show: true, size: 6, fill: DOT, stroke: DOT, width: 0 } };
}
