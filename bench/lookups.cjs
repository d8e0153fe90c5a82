// Azurite looks rows up by partition first and walks all of its rows: filling a month grows with the
// square of the rows. Loaded with --require, this asks for the row key first, of which few are equal.
// Answers stay the same, and so do requests.
const { Collection } = require("../local/node_modules/lokijs");

const findOne = Collection.prototype.findOne;

Collection.prototype.findOne = function findByRowFirst(query) {
  if (query?.RowKey === undefined) {
    return findOne.call(this, query);
  }
  const { RowKey, ...others } = query;
  return findOne.call(this, { RowKey, ...others });
};
