-- The null sender, MAIL FROM:<>.
rspamd_config.NULL_SENDER = {
  callback = function(task)
    local from = task:get_from('smtp')
    return from ~= nil and from[1] ~= nil and from[1].addr == ''
  end,
  score = 0.0,
  group = 'backscatter',
  description = 'The envelope sender is empty'
}
